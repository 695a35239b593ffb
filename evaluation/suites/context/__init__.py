"""The product's claim as one measurement: the same model and figures under each context, paired."""
