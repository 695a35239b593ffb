"""What every part agrees on: figures, OCR lines, the context prompt, jobs, grounding, manifests, and the command.

No web framework and no torch: the gateway, the workers and the offline modules all import from here, never each other.
"""
