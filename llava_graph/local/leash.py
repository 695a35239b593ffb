"""The first thing every supervised child runs: tie its life to the supervisor's, then become the real program.

    python -I leash.py SUPERVISOR_PID PROGRAM [ARGUMENT...]

Linux kills the process when the supervisor dies, however that dies (`kill -9` included), so that no Redis or engine
is left behind holding memory and ports. `execvp` keeps the process id, so the supervisor sees the program itself.

That reaches the program alone, and vLLM's weights and caches are held by processes that it starts. So a sentinel stays
behind in the program's process group, asleep until the program is gone, and then kills the group.

On other systems there is no such call: there a supervisor that is killed with SIGKILL leaves its children.

Knows nothing of the rest of the package, and must not: it runs before every child and imports only what it needs.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(arguments: list[str]) -> None:
    supervisor_pid, program = int(arguments[0]), arguments[1:]
    if sys.platform == "linux":
        # SIGKILL, not SIGTERM: once the supervisor is gone nobody is left to insist.
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
    for stream in (0, 1, 2):  # who waits for the end of the program's output must not wait for this process
        os.close(stream)
    if os.getppid() == program_pid:
        signal.sigwait({signal.SIGUSR1})
    os.killpg(0, signal.SIGKILL)


def signal_when_parent_dies(number: signal.Signals) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, number, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")


if __name__ == "__main__":
    main(sys.argv[1:])
