"""The OCR worker: reads text and chart data of queued figures. It knows no HTTP and no language model."""

from ocr_worker.consumer import Worker, WorkerOptions

__all__ = ["Worker", "WorkerOptions"]
