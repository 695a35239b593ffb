"""Questions to answers: formats of questions, contexts, and the two ways to ask (our service, any OpenAI endpoint)."""
