"""The offline module that changes weights: layouts, deltas, conversion, merging of LoRA, export.

    errors.py      the tree of errors
    tensors.py     a tensor that is read row by row when it is written: the one noun of this room
    checkpoint.py  reads folders and files of weights (safetensors, .bin) without loading them
    folder.py      a target folder that appears under its name when it is complete, and not before
    writing.py     writes planned tensors as safetensors shards: parallel, resumable, with checksums
    layouts.py     names of the same weights in the original LLaVA and in transformers
    projector.py   a linear projector as transformers' two-layer projector, and back
    tokens.py      tokenizer and special tokens of the original, as transformers and vLLM want them
    templates.py   the original's conversation formats as chat templates
    delta.py convert.py lora.py consolidate.py export.py gguf.py    one command each
    assemble.py    a shipped model from its base and its delta
    build.py       the same, with the base from the package index and the result in the cache
    cli.py         `llava-graph weights …`

A command names the tensors of its result, each with the function that reads its rows; nothing is computed before
writing.py asks for the rows. So memory is a few pieces of some megabytes per worker, whatever the size of the model.
"""
