"""Text metrics of answers against references: BLEU, ROUGE-L, CIDEr, and SPICE where Java is at hand."""
