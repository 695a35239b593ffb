"""The gateway: takes a figure and its caption over HTTP, streams an explanation back.

It holds no model and reads no text in figures itself: OCR is asked for through Redis, answers come from an engine
that speaks OpenAI's chat completions. So this package starts without torch and without an OCR library installed.
"""
