"""From fuzzer's bytes to a question and what a device answers: the right answer with faults in it, or anything at all."""

from __future__ import annotations

from itertools import pairwise

from tests.fuzz.oracle import Asked, frame

#: Most answers are changed in this many places.
MOST_FAULTS = 6


class Bytes:
    """Reads numbers off the fuzzer's bytes; 0 when there are no more."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1] if self.at <= len(self.data) else 0

    def below(self, limit: int) -> int:
        return (self.byte() << 8 | self.byte()) % limit if limit > 256 else self.byte() % max(limit, 1)

    def rest(self) -> bytes:
        found, self.at = self.data[self.at :], len(self.data)
        return found


def question(source: Bytes, transaction: int) -> Asked:
    """Any question of functions 1 to 4 within its bounds, short ones more often."""
    function = 1 + source.byte() % 4
    most = 2000 if function <= 2 else 125
    size = source.byte()
    count = 1 + (size % 8 if size < 200 else source.below(most))
    return Asked(source.byte(), function, source.below(0x10000 - count), count, transaction)


def answer(kind: str, asked: Asked, source: Bytes) -> list[bytes]:
    """Chunks as they come. Empty: nothing comes."""
    mode = source.byte() % 8
    if mode == 0:
        stream = source.rest()
        return [stream] if stream else []
    if mode == 1:
        pdu = source.rest()[:253] or b"\x83\x02"
        return [frame(kind, asked, pdu)]  # any PDU in a right envelope
    right = Faulty(asked, source)
    for _ in range(source.byte() % MOST_FAULTS if mode > 2 else 0):
        right.spoil(source.byte() % 11, source.byte())
    return right.chunks(kind, twice=mode == 7)


class Faulty:
    """The right answer, and what is to be done to it."""

    def __init__(self, asked: Asked, source: Bytes) -> None:
        size = asked.data_bytes
        data = bytes(source.byte() for _ in range(size)) if size < 40 else bytes(size)
        self.pdu = bytearray([asked.function, size & 0xFF]) + data
        self.asked, self.source = asked, source
        self.unit, self.transaction = asked.unit, asked.transaction
        self.before = self.after = b""
        self.cuts: list[int] = []
        self.bits: list[tuple[int, int]] = []
        self.lost: list[int] = []

    def spoil(self, fault: int, value: int) -> None:
        """One fault: in the PDU, its envelope, the bytes on the wire, what lies around them, or how they come."""
        acts = (self._byte0, self._byte1, self._short, self._long, self._unit, self._number, self._bit, self._lost,
                self._before, self._after, self.cuts.append)  # fmt: skip
        acts[fault](value)

    def _byte0(self, value: int) -> None:
        self.pdu[0] = value

    def _byte1(self, value: int) -> None:
        self.pdu[1:2] = bytes([value])

    def _short(self, value: int) -> None:
        del self.pdu[2 + value % max(len(self.pdu) - 2, 1) :]

    def _long(self, value: int) -> None:
        self.pdu += bytes(value % 9)

    def _unit(self, value: int) -> None:
        self.unit = value

    def _number(self, value: int) -> None:
        self.transaction = self.transaction + 1 + value & 0xFFFF

    def _bit(self, value: int) -> None:
        self.bits.append((value, self.source.byte()))

    def _lost(self, value: int) -> None:
        self.lost.append(value)

    def _before(self, value: int) -> None:
        self.before += bytes(self.source.byte() for _ in range(value % 7))

    def _after(self, value: int) -> None:
        self.after += bytes(self.source.byte() for _ in range(value % 7))

    def chunks(self, kind: str, *, twice: bool) -> list[bytes]:
        """As it comes."""
        whole = bytearray(frame(kind, self.asked, bytes(self.pdu[:253]), unit=self.unit, transaction=self.transaction))
        for place, bit in self.bits:
            whole[place % len(whole)] ^= 1 << bit % 8
        for place in self.lost:
            del whole[place % (len(whole) + 1) :]
        stream = self.before + bytes(whole) * (2 if twice else 1) + self.after
        return [chunk for chunk in _cut(stream, self.cuts) if chunk]


def _cut(stream: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    return [stream[a:b] for a, b in pairwise(places)]
