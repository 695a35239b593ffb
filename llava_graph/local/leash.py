"""The first thing every supervised child runs: tie its life to the supervisor's, then become the real program.

    python -I leash.py SUPERVISOR_PID PROGRAM [ARGUMENT...]

Linux kills the process when the supervisor dies, however that dies (`kill -9` included), so that no Redis or engine
is left behind holding memory and ports. `execvp` keeps the process id, so the supervisor sees the program itself. On
other systems there is no such call: there a supervisor that is killed with SIGKILL leaves its children.

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
        libc = ctypes.CDLL(None, use_errno=True)
        # SIGKILL, not SIGTERM: once the supervisor is gone nobody is left to insist.
        if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
        if os.getppid() != supervisor_pid:  # it died before the call above: no signal will come
            sys.exit("the supervisor is gone")
    os.execvp(program[0], program)


if __name__ == "__main__":
    main(sys.argv[1:])
