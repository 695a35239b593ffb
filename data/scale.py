"""Runs a stage's work over many shards: in processes of this machine, or on Ray Data.

Measured (`python -m benchmarks.data_scale --figures 2000 --ocr-figures 24`, two cores, which other programs kept busy,
so the processor seconds say more than the wall clock; figures of 56 KB; start-up included):

    stage   runner              processor s   wall s   peak MB
    read    one process              17.6        50       196
    read    two processes            21.0        76       520
    read    Ray Data                 42.9       163      1,730
    build   one process               4.4        23       191
    build   two processes             7.4        38       442
    build   Ray Data                 24.0        78      1,708
    ocr     one process              23.1        80     1,118
    ocr     two processes            29.3       165     1,839
    ocr     Ray Data                 48.3       148     3,087

On one machine Ray Data costs some 20 processor seconds and 1.3 to 1.5 GB more than processes, for the same results: it
has to be started, and a worker of it is as large as a process of ours. The gain of Ray is other machines. So processes
are the default, and Ray is for a cluster, with the same command and `--runner ray --ray-address …`. Work on a shard is
the unit of both: it is done whole or not at all, which is what makes a stopped run resumable under either.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.errors import StageError
from data.stage import Runner, Summary, Work


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class Processes:
    """Processes of this machine. With one, the work is done here, in this process."""

    count: int

    def run(self, work: Work, shards: Sequence[Path]) -> Iterator[tuple[Path, Summary]]:
        """Raises StageError when a process dies, and what the work raises."""
        if self.count == 1 or len(shards) < 2:
            for shard in shards:
                yield shard, work(shard)
            return
        # Spawned, not forked: pyarrow and Pillow may have threads by now, whose locks a fork would copy as they stand.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(min(self.count, len(shards)), mp_context=context) as pool:
            running = {pool.submit(work, shard): shard for shard in shards}
            try:
                for future in as_completed(running):
                    yield running[future], future.result()
            except BrokenProcessPool as error:
                raise StageError(
                    "a process of the stage died, perhaps for lack of memory; run again to go on"
                ) from error
            finally:
                pool.shutdown(wait=True, cancel_futures=True)


@dataclass(frozen=True, slots=True)
class OnRay:
    """Ray Data over the shards: `address` None starts Ray on this machine, anything else joins that cluster.

    The folders of input and output must be at the same path on every node (a shared file system). Each task takes
    `cpus` of its node; `at_once` bounds the tasks, for work that asks a service which only takes so much.
    """

    address: str | None = None
    cpus: float = 1.0
    at_once: int | None = None

    def run(self, work: Work, shards: Sequence[Path]) -> Iterator[tuple[Path, Summary]]:
        """Raises StageError when Ray cannot be had or a task failed for good."""
        if not shards:
            return
        try:
            import ray
            from ray.data import DataContext
            from ray.exceptions import RayError
        except ImportError as error:
            raise StageError("Ray is not installed: pip install 'llava-graph[scale]'") from error
        began = not ray.is_initialized()
        if began:
            try:
                ray.init(
                    address=self.address,
                    num_cpus=None if self.address else cores(),
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                )
            except (ConnectionError, RayError, OSError, ValueError) as error:
                raise StageError(f"Ray cannot be started or reached: {error}") from error
        context = DataContext.get_current()
        context.enable_progress_bars = False  # the command shows its own
        # A block a shard: Ray would put many small rows into one task, and a lost task would lose them all.
        rows = ray.data.from_items(
            [{"shard": str(shard.resolve())} for shard in shards], override_num_blocks=len(shards)
        )

        def one(row: dict[str, Any]) -> dict[str, Any]:
            return {"shard": row["shard"], "summary": _dumped(work(Path(row["shard"])))}

        by_path = {str(shard.resolve()): shard for shard in shards}
        try:
            for row in rows.map(one, num_cpus=self.cpus, concurrency=self.at_once).iter_rows():
                yield by_path[row["shard"]], _loaded(row["summary"])
        except RayError as error:
            raise StageError(f"a task failed on Ray: {error}") from error
        finally:
            if began:
                ray.shutdown()


def _dumped(summary: Summary) -> str:
    """As JSON text: Ray would make one Arrow type of all summaries, and they differ in their keys."""
    return json.dumps(summary, ensure_ascii=False)


def _loaded(summary: str) -> Summary:
    loaded: Summary = json.loads(summary)
    return loaded


def runner_of(name: str, *, processes: int, address: str | None) -> Runner:
    """`plain` or `ray`."""
    return OnRay(address, at_once=None) if name == "ray" else Processes(processes)
