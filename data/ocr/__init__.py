"""Has the figures of a data set read: their text, and the data in their charts.

readers.py says who reads (the OCR queue of a running service, or a callable that the command was handed), run.py asks
for every figure of a shard and puts what was read into its records. No OCR library is imported here.
"""
