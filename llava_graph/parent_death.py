"""Runs a program that the kernel kills when its parent dies: sets the parent-death signal, then calls execvp.

    python -I parent_death.py PARENT_PID PROGRAM [ARGUMENT...]

Linux kills the process when the parent dies, however that happens (`kill -9` included), so that no Redis or engine
is left behind holding memory and ports. `execvp` keeps the process id, so the supervisor sees the program itself.

That reaches the program alone, and vLLM's weights and caches are held by processes that it starts. So a sentinel stays
behind in the program's process group, asleep until the program is gone, and then kills the group.

On other systems there is no such call: there a supervisor that is killed with SIGKILL leaves its children.

Knows nothing of the rest of the package, and must not: it runs before every child and imports only what it needs.
"""

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Sequence

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def tied_to_this_process(argv: Sequence[str]) -> list[str]:
    """The command that runs `argv` and is killed with the process that calls this."""
    return [sys.executable, "-I", __file__, str(os.getpid()), *argv]


def main(arguments: list[str]) -> None:
    supervisor_pid, program = int(arguments[0]), arguments[1:]
    if sys.platform == "linux":
        # SIGKILL, not SIGTERM: without the supervisor, no process could send SIGKILL after an ignored SIGTERM.
        signal_when_parent_dies(signal.SIGKILL)
        if os.getppid() != supervisor_pid:  # it died before the call above: no signal will come
            sys.exit("the supervisor is gone")
        leave_sentinel()
    os.execvp(program[0], program)


def leave_sentinel() -> None:
    """A child that outlives what this process becomes, and then ends the whole process group with itself."""
    program_pid = os.getpid()
    # Everything is blocked, so that SIGTERM to the group, which asks the program to end in order, does not end the
    # sentinel first. Blocked before the fork: a signal may come at any time.
    signals = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    if os.fork() != 0:
        signal.pthread_sigmask(signal.SIG_SETMASK, signals)
        return
    signal_when_parent_dies(signal.SIGUSR1)
    # Who waits for the end of the program's output, or of a socket that it was given, must not wait for this process.
    for descriptor in os.listdir("/proc/self/fd"):  # noqa: PTH208 - pathlib is not imported: see above
        with contextlib.suppress(OSError):  # the one that listed them is closed by now
            os.close(int(descriptor))
    if os.getppid() == program_pid:
        signal.sigwait({signal.SIGUSR1})
    os.killpg(0, signal.SIGKILL)


def signal_when_parent_dies(number: signal.Signals) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, number, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")


if __name__ == "__main__":
    main(sys.argv[1:])
