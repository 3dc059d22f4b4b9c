"""What is loaded is not looked through, and what comes after it is; also where loading fails, and when a program ends. In a process of its own: the collector is everybody's."""

from __future__ import annotations

import subprocess
import sys

_LOADS = """
import gc
from edge_gateway.loading import loading
collections, before = [], gc.get_freeze_count()
gc.callbacks.append(lambda phase, _: collections.append(phase))
class Knot:
    def __init__(self): self.itself = self
with loading():
    kept = [Knot() for _ in range(5_000)]
    assert collections == [] and not gc.isenabled()
assert gc.isenabled() and gc.get_freeze_count() > before + 5_000
more = [Knot() for _ in range(5_000)]
assert collections
try:
    with loading(): raise ImportError
except ImportError:
    print(gc.isenabled())
"""


def test_nothing_is_collected_meanwhile_and_all_that_comes_later_is() -> None:
    done = subprocess.run([sys.executable, "-c", _LOADS], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr


_LEAVES = """
import atexit, gc
from edge_gateway.loading import leave_all
class Knot:
    def __init__(self): self.itself = self
    def __del__(self): print("looked through")
{leave}
gc.disable()
Knot()
"""


def test_nothing_is_looked_through_at_the_end() -> None:
    said = [subprocess.run([sys.executable, "-c", _LEAVES.format(leave=leave)], capture_output=True, text=True, check=True).stdout for leave in ("leave_all()", "")]
    assert said == ["", "looked through\n"], "without it the end looks through all"
