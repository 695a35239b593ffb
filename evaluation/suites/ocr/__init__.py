"""How well the text of figures is read, on a folder with ground truth."""
