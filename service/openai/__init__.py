"""OpenAI's chat completions as this gateway speaks them: what is asked, and what is answered. Routes are elsewhere."""
