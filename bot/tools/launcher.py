"""Runs another program, which ends when its parent process ends, even by `kill -9` (on Linux).

Run as a script with the program and its arguments; it uses only the standard library, so that it starts quickly.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, program = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # the parent ended before that took effect
            sys.exit(1)
    try:
        os.execvp(program[0], program)  # noqa: S606 - the operator's own command
    except OSError as error:
        sys.exit(f"{program[0]}: {error.strerror}")


if __name__ == "__main__":
    main()
