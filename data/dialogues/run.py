"""The dialogue stage: shards of records in; shards of records with conversations, and of rejected answers, out.

    OUT/*.parquet            records with a dialogue (a figure asked for several kinds is several records)
    OUT/rejected/*.jsonl     {"id", "kind", "reason", "response"} of all others
    OUT/responses/*.jsonl    every answer as it came, by record and kind: kept, since it was paid for

Stopped and started again, a run asks for nothing that is in responses/. Rules can be changed and applied anew to what
is there: remove everything but responses/ and stage.json, and run again.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.dialogues.endpoint import Client, Endpoint, RefusedError
from data.dialogues.parse import Dialogue, RejectedError, parse, parse_rating
from data.dialogues.prompts import Kind, has_context, messages, rating_messages
from data.journal import Journal
from data.record import IMAGE_TOKEN, Record
from data.shards import RECORD_SCHEMA, ShardWriter, record_of, record_row, rows_of, shard_paths
from data.stage import Runner, Stage, Summary, prepare, run_stage
from data.window import in_order
from llava_graph.context import Turn, harmless


@dataclass(frozen=True, slots=True)
class DialogueSettings:
    """`min_rating` None asks for no rating."""

    kinds: tuple[Kind, ...]
    seed: int = 1
    at_once: int = 8
    min_rating: float | None = None
    limit: int | None = None
    """Of records in each shard, for a trial."""


@dataclass(frozen=True, slots=True)
class DialogueReport:
    made: int
    pairs: int
    pairs_dropped: int
    rejected: Counter[str]
    prompt_tokens: int
    completion_tokens: int
    mean_rating: float | None


def make_dialogues(
    records: Path,
    folder: Path,
    endpoint: Endpoint,
    settings: DialogueSettings,
    runner: Runner,
    *,
    overwrite: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> DialogueReport:
    """Fills `folder` from the shards of `records`. Raises DataError."""
    shards = shard_paths(records)
    kept = {
        "kinds": list(settings.kinds),
        "seed": settings.seed,
        "min_rating": settings.min_rating,
        "limit": settings.limit,
        "model": endpoint.model,
        "max_tokens": endpoint.max_tokens,
        "temperature": endpoint.temperature,
    }
    stage = Stage("dialogues", folder, kept)
    prepare(stage, shards, overwrite=overwrite)
    summaries = run_stage(stage, shards, DialogueShard(endpoint, settings, folder), runner, progress)
    rejected: Counter[str] = Counter()
    for summary in summaries:
        rejected.update(summary["rejected"])
    ratings = [rating for summary in summaries for rating in summary["ratings"]]
    return DialogueReport(
        made=sum(s["made"] for s in summaries),
        pairs=sum(s["pairs"] for s in summaries),
        pairs_dropped=sum(s["pairs_dropped"] for s in summaries),
        rejected=rejected,
        prompt_tokens=sum(s["prompt_tokens"] for s in summaries),
        completion_tokens=sum(s["completion_tokens"] for s in summaries),
        mean_rating=sum(ratings) / len(ratings) if ratings else None,
    )


Item = tuple[Record, bytes | None, Kind]


@dataclass(frozen=True, slots=True)
class DialogueShard:
    """The work on one shard of records."""

    endpoint: Endpoint
    settings: DialogueSettings
    folder: Path

    def __call__(self, shard: Path) -> Summary:
        return asyncio.run(self._make(shard))

    async def _make(self, shard: Path) -> Summary:
        made = pairs = dropped = prompt_tokens = completion_tokens = 0
        rejected: Counter[str] = Counter()
        ratings: list[float] = []
        rejects = self.folder / "rejected" / f"{shard.stem}.jsonl"
        rejects.parent.mkdir(parents=True, exist_ok=True)
        with Journal(self.folder / "responses" / f"{shard.stem}.jsonl") as journal:
            async with self.endpoint.open() as client:

                async def ask(item: Item) -> dict[str, Any]:
                    record, _, kind = item
                    return await _answered(client, record, kind, journal, self.settings.min_rating is not None)

                with (
                    ShardWriter(self.folder / shard.name, RECORD_SCHEMA) as writer,
                    rejects.open("w", encoding="utf-8") as rejected_file,
                ):
                    async with aclosing(in_order(self._items(shard), ask, self.settings.at_once)) as answers:
                        async for (record, image, kind), answer in answers:
                            prompt_tokens += answer.get("prompt_tokens", 0)
                            completion_tokens += answer.get("completion_tokens", 0)
                            try:
                                dialogue = _dialogue(answer)
                                if self.settings.min_rating is not None:
                                    rating = parse_rating(answer["rating"])
                                    ratings.append(rating)
                                    if rating < self.settings.min_rating:
                                        raise RejectedError("rating_low")
                            except RejectedError as error:
                                rejected[error.reason] += 1
                                entry = {"id": record.id, "kind": kind, "reason": error.reason, **answer}
                                rejected_file.write(json.dumps(entry, ensure_ascii=False) + "\n")
                                continue
                            made += 1
                            pairs += len(dialogue.pairs)
                            dropped += dialogue.dropped
                            writer.add(record_row(self._record(record, kind, dialogue.pairs), image))
        return {
            "made": made,
            "pairs": pairs,
            "pairs_dropped": dropped,
            "rejected": dict(rejected),
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "ratings": ratings,
        }

    def _items(self, shard: Path) -> Iterator[Item]:
        for number, row in enumerate(rows_of(shard)):
            if number == self.settings.limit:
                return
            record, image = record_of(row)
            for kind in self.settings.kinds:
                yield record, image, kind

    def _record(self, record: Record, kind: Kind, pairs: Sequence[tuple[str, str]]) -> Record:
        """The image stands before or after the first question, as in SciGraphQA."""
        rng = random.Random(f"{self.settings.seed}-{record.id}-{kind}")
        turns: list[Turn] = []
        for question, answer in pairs:
            asked = harmless(question)[0]
            if not turns and record.figure is not None:
                asked = f"{IMAGE_TOKEN}\n{asked}" if rng.random() < 0.5 else f"{asked}\n{IMAGE_TOKEN}"
            turns += [Turn("user", asked), Turn("assistant", harmless(answer)[0])]
        record_id = record.id if len(self.settings.kinds) == 1 else f"{record.id}#{kind}"
        return dataclasses.replace(record, id=record_id, conversations=tuple(turns))


async def _answered(client: Client, record: Record, kind: Kind, journal: Journal, rate: bool) -> dict[str, Any]:
    """What the journal has or, else, what the endpoint now says: `response` and its rating, or `refused`."""
    key = f"{record.id}#{kind}"
    known: dict[str, Any] | None = journal.get(key)
    if known is not None and (not rate or "rating" in known or "response" not in known):
        return known
    if not has_context(record):
        return {"refused": "no_context"}
    try:
        if known is None:
            answer = await client.ask(messages(kind, record))
            known = {
                "response": answer.text,
                "finish_reason": answer.finish_reason,
                "prompt_tokens": answer.prompt_tokens,
                "completion_tokens": answer.completion_tokens,
            }
            journal.add(key, known)
        if rate:
            known = await _rated(client, record, known)
            journal.add(key, known)
    except RefusedError as error:
        known = {"refused": "refused", "message": str(error)}
        journal.add(key, known)
    return known


async def _rated(client: Client, record: Record, known: dict[str, Any]) -> dict[str, Any]:
    """With the rating of the dialogue; a response that has none is not rated."""
    try:
        dialogue = _dialogue(known)
    except RejectedError:
        return {**known, "rating": ""}
    answer = await client.ask(rating_messages(record, dialogue.pairs), temperature=0.0)
    return {
        **known,
        "rating": answer.text,
        "prompt_tokens": known["prompt_tokens"] + answer.prompt_tokens,
        "completion_tokens": known["completion_tokens"] + answer.completion_tokens,
    }


def _dialogue(answer: dict[str, Any]) -> Dialogue:
    if "refused" in answer:
        raise RejectedError(answer["refused"])
    return parse(answer["response"], answer["finish_reason"])
