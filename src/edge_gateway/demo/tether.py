"""Starts a program that dies with its parent: ``python -m edge_gateway.demo.tether PARENT_PID PROGRAM [ARGUMENT …]``.

The kernel sends SIGKILL when the parent goes, however it goes (prctl PR_SET_PDEATHSIG survives the exec).
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Tie, then become the program."""
    parent, program = int(sys.argv[1]), sys.argv[2:]
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        sys.exit("prctl refused: this needs Linux")
    if os.getppid() != parent:
        sys.exit("the parent is gone already")
    os.execvp(program[0], program)  # noqa: S606 -- this is what it is for


if __name__ == "__main__":
    main()
