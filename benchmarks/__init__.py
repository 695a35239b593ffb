"""Benchmarks: every claim about speed as a command. Compared things are measured side by side in one run."""
