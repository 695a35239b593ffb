"""Builds the tokenizer of the small model: a name is the same token sequence wherever it stands.

A name must be the same sequence of tokens wherever it stands: at the start of an OCR line, in the middle of a sentence,
before a full stop. So no piece of a name holds white space, digits are single tokens, and only the few hundred words of
our own sentences ("rises ", "the ") carry their trailing space, and only where they are whole words. Box coordinates
are one token each (`context._located`). Pieces are learned from names of the training vocabulary by the Unigram trainer
(Kudo 2018, arXiv:1804.10959).
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from data.synthetic import words, write
from data.synthetic.sample import sample_figure
from llava_graph.context import DEFAULT_QUESTION, GRID, LOCATION_STEP

PAD, BOS, EOS, UNK, IMAGE, USER, ASSISTANT = "<pad>", "<s>", "</s>", "<unk>", "<image>", "<|user|>", "<|assistant|>"
LOCATIONS = [f"<{v}>" for v in range(0, GRID, LOCATION_STEP)]
SPECIAL_TOKENS = [PAD, BOS, EOS, UNK, IMAGE, USER, ASSISTANT, *LOCATIONS]

CHAT_TEMPLATE = (
    "<s>{% for message in messages %}"
    "{{ '<|user|>' if message['role'] == 'user' else '<|assistant|>' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] in ('image', 'image_url') %}<image>"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}"
    "{% if message['role'] == 'assistant' %}</s>{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)

_NAME_PIECES = 1200
_CHARACTERS = "".join(chr(c) for c in range(33, 127)) + "µ°²³·×±–—αβγδλστημρΔΩ‹：Å"


def _sentence_words(rng: random.Random) -> list[str]:
    """The words of our own sentences, found by writing some with every name left out."""
    counts: Counter[str] = Counter()
    for seed in range(3000):
        spec = sample_figure(seed, "train")
        names = [p.x.quantity for p in spec.panels] + [p.y.quantity for p in spec.panels]
        names += [s.name for p in spec.panels for s in p.series] + [c for p in spec.panels for c in p.categories]
        known = write.everything(spec)
        texts = [write.caption(spec, rng), write.explanation(spec, known, rng)]
        texts += [text for pair in write.dialogue(spec, known, rng, 4) for text in pair]
        for text in texts:
            for name in sorted(names, key=len, reverse=True):
                text = text.replace(name, "0")
            counts.update(re.findall(r"[A-Za-z]+", text))
    counts.update(re.findall(r"[A-Za-z]+", DEFAULT_QUESTION + " Caption Text in the figure Question ") * 99)
    common = {word for word, count in counts.items() if count >= 20 and len(word) > 1}
    return sorted(common - words.real_words())


def _name_corpus(rng: random.Random) -> list[str]:
    corpus = []
    for _ in range(20_000):
        corpus += words.quantity(rng, "train").split()
        corpus += [w for name in words.names(rng, "train", 3) for w in name.split()]
    return corpus


def build_tokenizer(seed: int = 0) -> PreTrainedTokenizerFast:
    """About 2,000 tokens, the same in the same order for the same `seed`; other characters become UTF-8 byte tokens.

    The trainer adds up in the order of a hash map, so the scores of two builds differ in the third digit: a model keeps
    the tokenizer that it was trained with, see stages.load_learner.
    """
    rng = random.Random(seed)
    learner = Tokenizer(models.Unigram())
    learner.pre_tokenizer = pre_tokenizers.Split(Regex(r"[^A-Za-z]"), "isolated")
    trainer = trainers.UnigramTrainer(
        vocab_size=_NAME_PIECES,
        initial_alphabet=list(_CHARACTERS),
        unk_token=UNK,
        special_tokens=[UNK],
        max_piece_length=6,
    )
    learner.train_from_iterator(_name_corpus(rng), trainer)
    learned: list[tuple[str, float]] = json.loads(learner.to_str())["model"]["vocab"]
    pieces = {piece: score for piece, score in sorted(learned) if piece != UNK}

    vocabulary: dict[str, float] = dict.fromkeys(SPECIAL_TOKENS, 0.0)
    vocabulary |= {f"<0x{byte:02X}>": -20.0 for byte in range(256)}
    vocabulary |= dict.fromkeys(_CHARACTERS, -12.0) | pieces
    vocabulary |= {" ": -2.0, "\n": -2.0}
    own_words = _sentence_words(rng)
    for word in own_words:
        vocabulary[word] = -2.0
        vocabulary[word + " "] = -2.0
    ranked = list(vocabulary.items())
    tokenizer = Tokenizer(models.Unigram(ranked, unk_id=SPECIAL_TOKENS.index(UNK), byte_fallback=True))
    # A name that ends in one of our words, as "Vodion" does in "on", leaves the space behind it alone.
    parts = Regex(rf"(?:{'|'.join(own_words)}) |\p{{L}}+|\s|\p{{N}}|[^\p{{L}}\p{{N}}\s]")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(parts, "isolated")
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    wrapped = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        unk_token=UNK,
        additional_special_tokens=[IMAGE, USER, ASSISTANT, *LOCATIONS],
        clean_up_tokenization_spaces=False,
    )
    wrapped.chat_template = CHAT_TEMPLATE
    return wrapped
