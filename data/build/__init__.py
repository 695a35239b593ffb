"""From records to what a model learns from: conversations, splits without a shared paper, and a card that says what is
in them.

prompts.py words the context (the original's, to the character, and ours), instructions.py holds the original's sixteen
instructions, samples.py makes a record's conversation, splits.py decides who goes where, leaks.py finds answers that
stand in their own context, tokens.py counts, run.py does it shard by shard, card.py writes the data card.
"""
