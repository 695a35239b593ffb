"""llava-graph-small: a language model that knows language, taught to say what was read of a figure.

figures.py reading.py     what it learns from: figures, drawn, and read by the real OCR and the real chart reader
facts.py words.py paragraphs.py questions/ captions.py    what it shall say of them, and nothing that was not read
base.py model.py examples.py learner.py export.py    the model, its prompts and masks, the training, the delta
"""
