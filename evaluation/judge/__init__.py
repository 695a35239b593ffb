"""A language model as judge: pairwise reviews as in the original LLaVA-Graph, and single answers from 0 to 10."""
