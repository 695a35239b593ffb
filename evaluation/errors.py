"""Why an evaluation does not go on. One tree, so that a command catches its root and says the message.

    EvaluationError
        InputError        a file, a row or an image is missing or wrong; the message names file and line
        MismatchError     two things that must belong together do not: ids, or the settings of a run that is resumed
        EndpointError     an endpoint refused, or gave no usable answer after all tries
        UnavailableError  something the command needs is not on this machine: a key, Java, a library

It knows no file format and no protocol.
"""

from __future__ import annotations


class EvaluationError(Exception):
    """The evaluation cannot go on. What was written so far stays valid, and the same command takes it up again."""


class InputError(EvaluationError):
    """A file, a row or an image is missing or wrong."""


class MismatchError(EvaluationError):
    """Ids or settings that must agree do not."""


class EndpointError(EvaluationError):
    """An endpoint refused a request, or failed as often as it may."""


class UnavailableError(EvaluationError):
    """A key, a program or a library that the command needs is not there."""
