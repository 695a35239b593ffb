"""Training: examples, tokenizer, model, training stages, export of weights. Runs offline, apart from the service.

Nothing here runs in the service; what both must agree on (the prompt, the chat template) lives in `llava_graph` and in
the model's folder.
"""
