"""Rules by category: what the judge is told to look at. The wording is ours, the categories are the original's.

`conv`, `detail` and `complex` judge answers about a figure or photograph that the judge knows from its context;
`coding`, `math` and `default` judge text alone. A file in the original's format, {category: {role, prompt}}, replaces
them. A category without a rule is an error: what another rule would have said is not known. It asks no model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from evaluation.errors import InputError
from evaluation.rows import read_json, text_sha256

_FORM = (
    "Begin with one line that holds nothing but two numbers from 1 to 10, the score of Assistant 1 and the score of "
    "Assistant 2, with a single space between them. A higher score is better. In the lines after that, give reasons "
    "for both scores. The order in which the answers stand and their length must not influence the scores."
)

_VISUAL = (
    "Two AI assistants were asked the question above about an image. You do not see the image: the context above says "
    "what it shows, and you may take it to be true and sufficient. Score each answer by how helpful it is, how "
    "relevant to the question, how accurate against the context, and how much of what matters it covers. Names, "
    "numbers and trends that contradict the context count against an answer more than details it leaves out. "
)

_DEFAULT = (
    "Two AI assistants were asked the question above. Score each answer by how helpful, relevant, accurate and "
    "detailed it is. "
)

_CODING = (
    "Two AI assistants were asked to write or explain code. Score each answer by whether the code does what was asked, "
    "whether it is readable and efficient, and whether the explanation is right. Code that would not run, or solves "
    "another task, must score low however well it is explained. "
)

_MATH = (
    "Two AI assistants were asked to solve the problem above. Solve it yourself first, silently. Then score each "
    "answer by whether its result is right and whether its steps lead to it. A wrong result must score below a right "
    "one. "
)


@dataclass(frozen=True, slots=True)
class Rule:
    """`role` is how the prompt calls the ones who answered."""

    role: str
    prompt: str


Rules = Mapping[str, Rule]

RULES: Rules = {
    "conv": Rule("Assistant", _VISUAL + _FORM),
    "detail": Rule("Assistant", _VISUAL + _FORM),
    "complex": Rule("Assistant", _VISUAL + _FORM),
    "coding": Rule("Assistant", _CODING + _FORM),
    "math": Rule("Assistant", _MATH + _FORM),
    "default": Rule("Assistant", _DEFAULT + _FORM),
}

VISUAL = ("conv", "detail", "complex")
"""Categories whose questions are about an image: judged only with its context."""


def read_rules(path: Path) -> Rules:
    """Rules in the original's format. Raises InputError."""
    value = read_json(path)
    if not isinstance(value, dict) or not value:
        raise InputError(f"{path} is not an object of rules")
    rules = {}
    for category, rule in value.items():
        if not isinstance(rule, dict) or not all(isinstance(rule.get(name), str) for name in ("role", "prompt")):
            raise InputError(f"{path}: the rule of {category!r} has no role or no prompt")
        rules[category] = Rule(rule["role"], rule["prompt"])
    return rules


def rules_sha256(rules: Rules) -> str:
    return text_sha256(json.dumps({name: [rule.role, rule.prompt] for name, rule in sorted(rules.items())}))
