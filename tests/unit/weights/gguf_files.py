"""A small language model as GGUF, written by the gguf package."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

WIDTH, INNER, HEADS = 32, 64, 2
# transformers adds <|endoftext|> where it is missing, which would be a token without a row.
TOKENS = ["<unk>", "<s>", "</s>", "a", "b", "ab", "Ġ", "Ġa", "<|endoftext|>"]
TEMPLATE = "{% for message in messages %}{{ message['content'] }}{% endfor %}"


def write(path: Path, *, architecture: str = "llama", tied: bool = False, seed: int = 0) -> dict[str, np.ndarray]:
    """One layer; matrices in Q8_0, norms in float32. Gives what the file's matrices are when they are expanded.

    `tied`: the output embedding is the input embedding, and not in the file.
    """
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_block_count(1)
    writer.add_context_length(128)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(len(TOKENS))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(TOKENS)
    writer.add_token_types([3, 3, 3, 1, 1, 1, 1, 1, 3])
    writer.add_token_merges(["a b", "Ġ a"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template(TEMPLATE)
    random = np.random.default_rng(seed)
    matrices = {
        "token_embd": (len(TOKENS), WIDTH),
        "output": (len(TOKENS), WIDTH),
        "blk.0.attn_q": (WIDTH, WIDTH),
        "blk.0.attn_k": (WIDTH, WIDTH),
        "blk.0.attn_v": (WIDTH, WIDTH),
        "blk.0.attn_output": (WIDTH, WIDTH),
        "blk.0.ffn_gate": (INNER, WIDTH),
        "blk.0.ffn_up": (INNER, WIDTH),
        "blk.0.ffn_down": (WIDTH, INNER),
    }
    if tied:
        del matrices["output"]
    kind = gguf.GGMLQuantizationType.Q8_0
    expanded = {}
    for name, shape in matrices.items():
        packed = gguf.quants.quantize(random.standard_normal(shape, dtype=np.float32), kind)
        writer.add_tensor(f"{name}.weight", packed, raw_dtype=kind)
        expanded[name] = gguf.quants.dequantize(packed, kind)
    for name in ("blk.0.attn_norm", "blk.0.ffn_norm", "output_norm"):
        writer.add_tensor(f"{name}.weight", np.ones(WIDTH, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return expanded
