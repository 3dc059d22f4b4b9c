"""One bit of the database's log that changed at rest, told from a commit that a power cut tore: by the log's own checksums; pure.

SQLite ends its reading at the first frame whose checksum fails, and takes what follows for a commit that was never finished. So a
flip in the last commit would cost it, unseen. The checksum (https://sqlite.org/fileformat2.html#walformat, 64 bits over each frame,
the one before going in) is linear: from its difference the one bit follows that explains it; of the upper bits of its words several
do (Fibonacci numbers repeat modulo small powers of two). What a cut leaves is seldom explained by any, but it can be: where old and
new numbers differ by as much in two neighbouring words, so does one number in another word. So whoever asks must look at what comes out.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator

_HEADER, _FRAME, _MASK = 32, 24, 0xFFFFFFFF
_LITTLE = 0x377F0682
#: Commits at the end of the log that are looked at: a flip may make one frame of the last look like an end.
_COMMITS = 3


def changed_bits(log: bytes) -> list[int]:
    """Each bit (8 × byte + bit, the least significant first) that alone explains what is wrong with the last commits; [] where nothing is, or no single bit does."""
    if len(log) <= _HEADER:
        return []
    headers = _in_header(log)
    if headers is not None:
        return [bit for bit in headers if _in_frames(mended(log, bit), _page(mended(log, bit))) == ([], True)]
    bits, whole = _in_frames(log, _page(log))
    return bits if whole else []


def mended(log: bytes, bit: int) -> bytes:
    """The log with this bit as it was."""
    fixed = bytearray(log)
    fixed[bit // 8] ^= 1 << bit % 8
    return bytes(fixed)


def with_log(database: bytes, log: bytes) -> bytes:
    """The database as a file of its own, with the commits of its log in it; no checksum is looked at."""
    pages, page = bytearray(database), _page(log)
    waiting: list[int] = []
    for at in _own(log, page):
        waiting.append(at)
        if not _ends(log, at):
            continue
        size = page * int.from_bytes(log[at + 4 : at + 8])
        pages = pages[:size].ljust(size, b"\0")
        for each in waiting:
            begin = page * (int.from_bytes(log[each : each + 4]) - 1)
            if 0 <= begin < size:
                pages[begin : begin + page] = log[each + _FRAME : each + _FRAME + page]
        waiting.clear()
    pages[18:20] = b"\1\1"  # it needs no log any more
    return bytes(pages)


def _in_header(log: bytes) -> list[int] | None:
    """Bits of the header that may have changed; None where none has."""
    def sound(head: bytes) -> bool:
        known = _little(head) is not None and _page(head) in (1 << n for n in range(9, 17))
        return known and _checksum(head[:24], (0, 0), _little(head)) == _stored(head, 24)

    return None if sound(log) else [bit for bit in range(8 * _HEADER) if sound(mended(log[:_HEADER], bit))]


def _page(log: bytes) -> int:
    return int.from_bytes(log[8:12])


def _in_frames(log: bytes, page: int) -> tuple[list[int], bool]:
    """Bits of which each explains what is wrong, and whether the log's last commits are whole but for it."""
    starts = list(_own(log, page))
    ends = [n for n, at in enumerate(starts) if log[at + 4 : at + 8] != bytes(4)]
    first = ends[-_COMMITS] + 1 if len(ends) >= _COMMITS else 0
    begin = _stored(log, starts[first - 1] + 16) if first else _stored(log, 24)
    ways: list[tuple[tuple[int, int], list[int]]] = [(begin, [])]  # what goes into the next frame's checksum, if one of these bits has changed
    for at in starts[first:]:
        ways = [way for state, bits in ways for way in _ways(log, (at, page), state, bits)]
    found = [bit for _, bits in ways for bit in bits]
    if not ways or (found and not all(bits for _, bits in ways)):
        return [], bool(ways)
    if not starts:
        return [], False
    if not found:
        return [], _ends(log, starts[-1])
    found = [bit for bit in found if _ends(mended(log, bit), starts[-1])]
    return found, bool(found)


def _ways(log: bytes, where: tuple[int, int], state: tuple[int, int], before: list[int]) -> Iterator[tuple[tuple[int, int], list[int]]]:
    """How a frame can be read: as it is, or with one bit changed if none has before it."""
    at, page = where
    of_salt = [8 * (at + 8) + bit for bit in _differing(log[at + 8 : at + 16], log[16:24])]
    covered, little = log[at : at + 8] + log[at + _FRAME : at + _FRAME + page], _little(log)
    told, real = _stored(log, at + 16), _checksum(covered, state, little)
    if told == real:
        if not (before and of_salt):
            yield told, before or of_salt
        return
    if before or of_salt:
        return
    of_sum = [8 * (at + 16) + bit for bit in _differing(log[at + 16 : at + _FRAME], b"".join(each.to_bytes(4) for each in real))]
    if len(of_sum) == 1:
        yield real, of_sum
    if of_bytes := [_place(at, bit, little) for bit in _covered_bits(_words(covered, little), told, real)]:
        yield told, of_bytes


def _ends(log: bytes, at: int) -> bool:
    """Whether a frame is the last of a commit."""
    return log[at + 4 : at + 8] != bytes(4)


def _own(log: bytes, page: int) -> Iterator[int]:
    """Where the frames of the log's own generation begin."""
    for at in range(_HEADER, len(log) - _FRAME - page + 1, _FRAME + page):
        if len(_differing(log[at + 8 : at + 16], log[16:24])) > 1:
            return
        yield at


def _place(at: int, bit: int, little: bool | None) -> int:
    """Of a bit of the words that a frame's checksum covers: which one of the log it is."""
    word, place = divmod(bit, 32)
    byte = 4 * word + (place // 8 if little else 3 - place // 8)
    return 8 * (at + byte if byte < 8 else at + _FRAME + byte - 8) + place % 8


def _covered_bits(words: array[int], told: tuple[int, int], real: tuple[int, int]) -> list[int]:
    """32 × word + bit of each of the words' bits whose change alone makes ``real`` of what was ``told``."""
    off, found = ((real[0] - told[0]) & _MASK, (real[1] - told[1]) & _MASK), []
    even, odd = (1, 1), (0, 1)  # what a change by 1 of the first, of the second word of a pair does, steps later
    for pair in range(len(words) - 2, -1, -2):
        for word, (x, y) in ((pair, even), (pair + 1, odd)):
            value = words[word]
            for bit in range(32):
                by = 1 << bit if value >> bit & 1 else -(1 << bit)
                if (x * by) & _MASK == off[0] and (y * by) & _MASK == off[1]:
                    found.append(32 * word + bit)
        even, odd = ((even[0] + even[1]) & _MASK, (even[0] + 2 * even[1]) & _MASK), ((odd[0] + odd[1]) & _MASK, (odd[0] + 2 * odd[1]) & _MASK)
    return found


def _checksum(data: bytes, state: tuple[int, int], little: bool | None) -> tuple[int, int]:
    one, two = state
    words = _words(data, little)
    for at in range(0, len(words), 2):
        one = (one + words[at] + two) & _MASK
        two = (two + words[at + 1] + one) & _MASK
    return one, two


def _words(data: bytes, little: bool | None) -> array[int]:
    words = array("I", data)
    if (words.itemsize, bool(little)) != (4, _HOST_LITTLE):
        words.byteswap()
    return words


def _little(log: bytes) -> bool | None:
    """Whether the checksum's words are little-endian; None for what is no log."""
    magic = int.from_bytes(log[:4])
    return magic == _LITTLE if magic in (_LITTLE, _LITTLE + 1) else None


def _stored(log: bytes, at: int) -> tuple[int, int]:
    return int.from_bytes(log[at : at + 4]), int.from_bytes(log[at + 4 : at + 8])


def _differing(one: bytes, other: bytes) -> list[int]:
    """Bits in which two stretches differ."""
    return [8 * n + bit for n, (a, b) in enumerate(zip(one, other, strict=True)) for bit in range(8) if (a ^ b) >> bit & 1]


_HOST_LITTLE = array("I", [1]).tobytes()[0] == 1
