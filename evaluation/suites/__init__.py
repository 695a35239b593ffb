"""Suites: each measures one thing with questions and scores of its own."""
