"""Recognises exhausted resources of the machine: file descriptors, disk space, memory.

The request is not at fault, and the shortage ends, so the same request may succeed later.
"""

from __future__ import annotations

import errno

from service.errors import Overloaded

_WORDS = {
    errno.EMFILE: "The gateway has no file descriptors left.",
    errno.ENFILE: "The machine has no file descriptors left.",
    errno.ENOSPC: "There is no room on disk for uploads.",
    errno.EDQUOT: "There is no room on disk for uploads.",
    errno.ENOMEM: "The machine has no memory left.",
    errno.ENOBUFS: "The machine has no memory left for connections.",
}


def exhausted(error: BaseException) -> Overloaded | None:
    """Overloaded, if the error or one of its causes is such a shortage; None for any other error."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError):
            # `tempfile` says so when no folder takes a file any more: an errno of a path without the path.
            no_folder = cause.errno == errno.ENOENT and cause.filename is None
            words = _WORDS[errno.ENOSPC] if no_folder else _WORDS.get(cause.errno or 0)
            return None if words is None else Overloaded(words)
        cause = cause.__cause__
    return None
