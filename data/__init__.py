"""Training data: raw data sets in, shards of records out, and from records the conversations that a model learns from.

record.py is the one form that everything has between reading and training. readers/ knows the formats of others, one
file each; read.py puts their records and images into shards; ocr/ has figures read by a running service; dialogues/
asks a language model for questions and answers; build/ makes training conversations, splits and the data card;
export.py writes the original's list-JSON; shards.py stores and streams all of it; scale.py runs a stage over many
shards, on one machine or on a cluster. No module here knows a model, torch, an OCR library or the gateway's insides:
from this project it imports `llava_graph` alone.
"""
