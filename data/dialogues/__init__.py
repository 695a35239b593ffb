"""Has a language model make questions and answers about figures that it does not see, from what is known of them.

prompts.py says what it is told and asked for, parse.py takes its answer apart and says why one is rejected,
endpoint.py asks any OpenAI-compatible endpoint, estimate.py says beforehand what it will cost, run.py does it for
shards of records. This is how SciGraphQA was made (Li, Tajbakhsh, 2023), with the model of the day behind the
endpoint.
"""
