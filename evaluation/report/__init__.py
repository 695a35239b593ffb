"""One self-contained page, and the same in Markdown, about any number of runs."""
