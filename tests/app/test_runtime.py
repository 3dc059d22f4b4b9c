"""The allocator's knobs are turned where there are any; what has settled is not looked through again, and not lost."""

from __future__ import annotations

import gc
import platform
import subprocess
import sys
import weakref
from collections.abc import Iterator

import pytest

from edge_gateway.app.runtime import SWITCH_S, hold_less, settle, take_turns

_POOLS = """
import ctypes, re, threading, tempfile
from edge_gateway.app.runtime import hold_less
turned = {turn} and hold_less()
held = []
def work():
    held.append([bytes(2_000) for _ in range(500)])
threads = [threading.Thread(target=work) for _ in range(6)]
for thread in threads: thread.start()
for thread in threads: thread.join()
libc = ctypes.CDLL(None)
with tempfile.NamedTemporaryFile("r") as file:
    libc.fopen.restype = ctypes.c_void_p
    stream = ctypes.c_void_p(libc.fopen(file.name.encode(), b"w"))
    libc.malloc_info(0, stream)
    libc.fclose(stream)
    print(turned, len(re.findall("<heap nr", file.read())))
"""


def pools(turn: bool) -> tuple[str, int]:
    done = subprocess.run([sys.executable, "-c", _POOLS.format(turn=turn)], check=True, capture_output=True, text=True)
    turned, number = done.stdout.split()
    return turned, int(number)


def test_all_threads_share_one_pool() -> None:
    if platform.libc_ver()[0] == "glibc":
        assert pools(turn=True) == ("True", 1)
        assert pools(turn=False)[1] > 1  # without it there are more: the test would see it


def test_a_library_without_knobs_is_left_alone() -> None:
    assert hold_less(object()) is False


@pytest.fixture
def thawed() -> Iterator[None]:
    interval_s = sys.getswitchinterval()
    yield
    gc.unfreeze()
    gc.freeze()  # as the run's own conftest did
    sys.setswitchinterval(interval_s)


class Knot:
    """Something that only the collector of cycles can free."""

    def __init__(self) -> None:
        self.itself = self


def test_what_has_settled_is_left_alone_until_the_next_configuration(thawed: None) -> None:
    knot = Knot()
    gone = weakref.ref(knot)
    settle()
    assert gc.get_freeze_count() > 1_000
    del knot
    gc.collect()
    assert gone() is not None
    settle()
    assert gone() is None


def test_threads_hand_over_soon(thawed: None) -> None:
    take_turns()
    assert sys.getswitchinterval() == pytest.approx(SWITCH_S)
