"""Shared definitions of all parts: figures, OCR lines, the context prompt, chart data, jobs, grounding, manifests.

No web framework and no torch: the gateway, the workers and the offline modules all import from here, never each other.
"""
