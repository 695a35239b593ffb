"""The offline module that produces weights: examples, tokenizer, model, training stages, export.

Nothing here runs in the service; what both must agree on (the prompt, the chat template) lives in `llava_graph` and in
the model's folder.
"""
