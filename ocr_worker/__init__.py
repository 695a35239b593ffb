"""The OCR worker: takes figures from the queue, reads their text, answers. It knows no HTTP and no language model."""

from ocr_worker.consumer import Worker, WorkerOptions

__all__ = ["Worker", "WorkerOptions"]
