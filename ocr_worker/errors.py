"""Errors of the OCR worker, besides Redis's own (`redis.exceptions.RedisError`).

OcrWorkerError
  ├─ OcrEngineError       the engine refused or failed on an image: the job is answered `failed`, the worker goes on
  ├─ OcrEngineStuckError  the engine did not come back in time: only the end of the process ends its thread
  └─ WorkerProcessError   no worker process can be brought up: the parent ends
"""

from __future__ import annotations


class OcrWorkerError(Exception):
    """Base of the worker's own errors."""


class OcrEngineError(OcrWorkerError):
    """An engine could not read the images it was given. Raised by adapters, with the library's error as its cause."""


class OcrEngineStuckError(OcrWorkerError):
    """An engine has worked on one batch for longer than the job timeout."""


class WorkerProcessError(OcrWorkerError):
    """The first worker process died before it was ready. Its log says why."""
