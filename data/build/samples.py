"""Makes a record's training conversations: which question and answer, under which prompt.

    paragraph      one of the sixteen instructions; the answer is the first paragraph that mentions the figure
    conversation   the record's own questions and answers, as its source or `dialogues` has them

Seed and record decide all that is chosen at random, so a record's sample is the same wherever and in whatever order it
is made. Nothing here knows splits or shards.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal, get_args

from data.build.instructions import INSTRUCTIONS
from data.build.prompts import NoChartError, Worded, as_read, without_image, word
from data.record import Record
from llava_graph.context import DEFAULT_QUESTION, TEMPLATES, Turn

Task = Literal["paragraph", "conversation"]
TASKS: tuple[Task, ...] = get_args(Task)


class NoSampleError(Exception):
    """The record gives no sample for this task and prompt; `kind` is one of tally.KINDS."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Wanted:
    """One kind of sample. `prompt` is one of prompts.PROMPTS."""

    task: Task
    prompt: str
    seed: int

    def sample(self, record: Record) -> Worded:
        """Raises NoSampleError."""
        rng = random.Random(f"{self.seed}-{self.task}-{self.prompt}-{record.source}-{record.id}")
        turns = self._turns(record, rng)
        if record.figure is None or self.prompt == "as-read":
            return as_read(turns)
        try:
            return word(self.prompt, record, without_image(turns), rng)
        except NoChartError as error:
            raise NoSampleError("chart_missing") from error

    def _turns(self, record: Record, rng: random.Random) -> tuple[Turn, ...]:
        if self.task == "conversation":
            if not record.conversations:
                raise NoSampleError("no_target")
            return record.conversations
        target = next((paragraph for paragraph in record.paragraphs if paragraph.strip()), None)
        if target is None or record.figure is None:
            raise NoSampleError("no_target")
        # The question that the gateway uses when the request has none belongs to our prompts as well.
        questions = (DEFAULT_QUESTION, *INSTRUCTIONS) if self.prompt in TEMPLATES else INSTRUCTIONS
        return Turn("user", rng.choice(questions)), Turn("assistant", target)
