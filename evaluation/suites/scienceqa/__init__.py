"""ScienceQA, as LLaVA and the original LLaVA-Graph ask and score it."""
