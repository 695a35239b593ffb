"""Measures a chart reader: sets of figures with known truth, the scorer and its report.

`truth` is the format of what is known of a figure, `draw` makes figures with tools that our generator does not use,
`real` fetches the pixels of figures of public repositories that were labelled by hand, `generated` takes figures of our
own generator, `reading` runs the reader, `score` and `tables` compare, `report` writes.
"""
