"""The shipped model, served by transformers in this process, before and after every change of its weights."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image
from transformers import AutoProcessor, LlavaForConditionalGeneration

from tests.unit.weights.rounds import whole_round

REPOSITORY = Path(__file__).parents[3]
MODEL_DIR = REPOSITORY / "model_repo" / "llava-graph-tiny"


def answer(folder: Path) -> str:
    """Greedy, in float32."""
    model = LlavaForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    processor = AutoProcessor.from_pretrained(folder)
    parts = [{"type": "image"}, {"type": "text", "text": "Caption: Growth of two cultures.\nQuestion: What is shown?"}]
    prompt = processor.apply_chat_template([{"role": "user", "content": parts}], add_generation_prompt=True)
    with Image.open(REPOSITORY / "examples" / "growth.png") as figure:
        inputs = processor(text=prompt, images=figure.convert("RGB"), return_tensors="pt", add_special_tokens=False)
    out = model.generate(**inputs, max_new_tokens=48, do_sample=False)
    text: str = processor.decode(out[0, inputs["input_ids"].shape[1] :], skip_special_tokens=False)
    return text


def test_answer_is_the_same_after_a_whole_round(tmp_path: Path) -> None:
    before = answer(MODEL_DIR)
    assert len(before.split()) > 3
    assert answer(whole_round(MODEL_DIR, tmp_path)) == before
