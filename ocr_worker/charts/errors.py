"""How a step of the chart reader ends early. None of these leaves `read_chart`: each becomes an abstention.

ChartReadingError
  ├─ AbstainError      a step cannot vouch for what comes after it; carries one of ABSTENTION_REASONS
  └─ DeadlineError     the time for this figure is used up
"""

from __future__ import annotations

from llava_graph.chart import ABSTENTION_REASONS


class ChartReadingError(Exception):
    """Base of the reader's own errors."""


class AbstainError(ChartReadingError):
    """Nothing is claimed of the figure, panel or series at hand, for `reason`."""

    def __init__(self, reason: str) -> None:
        if reason not in ABSTENTION_REASONS:
            raise ValueError(f"{reason!r} is not a reason to abstain")
        super().__init__(reason)
        self.reason = reason


class DeadlineError(ChartReadingError):
    """Raised by `Deadline.check` when the time is used up."""
