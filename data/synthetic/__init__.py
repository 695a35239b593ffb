"""Synthetic scientific figures with known truth, for training, evaluation, benchmarks and tests.

words.py makes names, spec.py says what a figure is, sample.py draws one at random, render.py draws it with matplotlib
and says where each text stands, facts.py says what is true of it, write.py puts the truth into words (captions,
explanations, questions and answers). No module here knows a model, a tokenizer or an OCR library.
"""
