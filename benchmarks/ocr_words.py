"""OCR accuracy: recall and precision of words, whatever their order and place.

- *recall*: words of the truth found in the output of the same figure, as often as they stand in it; sign by sign, upper
  and lower case distinct. `Time(s)` for `Time (s)` misses two words.
- *precision*: words of the output that are in the truth. Markers and strokes taken for letters lower it.
- *characters*: a word that was missed is held against the output word, not yet used, that is most like it; the share of
  the truth's characters that were read that way, in order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import SequenceMatcher


@dataclass(slots=True)
class Tally:
    """Counts over figures; shares of nothing are 1."""

    true_words: int = 0
    read_words: int = 0
    right_words: int = 0
    true_characters: int = 0
    right_characters: int = 0

    def add(self, truth: Iterable[str], output: Iterable[str]) -> None:
        """Counts one figure, by its true texts and those read."""
        true, read = _words(truth), _words(output)
        right = true & read
        self.true_words += true.total()
        self.read_words += read.total()
        self.right_words += right.total()
        self.true_characters += sum(len(word) * count for word, count in true.items())
        self.right_characters += sum(len(word) * count for word, count in right.items())
        self.right_characters += _alike(true - right, read - right)

    @property
    def recall(self) -> float:
        return self.right_words / self.true_words if self.true_words else 1.0

    @property
    def precision(self) -> float:
        return self.right_words / self.read_words if self.read_words else 1.0

    @property
    def characters(self) -> float:
        return self.right_characters / self.true_characters if self.true_characters else 1.0


def _words(texts: Iterable[str]) -> Counter[str]:
    return Counter(word for text in texts for word in text.split())


def _alike(missed: Counter[str], spare: Counter[str]) -> int:
    """Characters of the missed words that stand, in order, in the spare word most like each. Long ones choose first."""
    left = sorted(spare.elements())
    right = 0
    for word in sorted(missed.elements(), key=lambda word: (-len(word), word)):
        common, index = max(((_in_common(word, other), -i) for i, other in enumerate(left)), default=(0, 0))
        if common:
            right += common
            del left[-index]
    return right


def _in_common(a: str, b: str) -> int:
    return sum(block.size for block in SequenceMatcher(None, a, b, autojunk=False).get_matching_blocks())
