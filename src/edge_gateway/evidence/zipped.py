"""A zip of stored members, written and read so strictly that no two programs can see two packs in one; knows nothing of what is inside.

Format: APPNOTE.TXT 6.3.10 sections 4.3.7, 4.3.12, 4.3.16, and of that only what docs/reference/journal-format.md section 8
permits. Reading takes memory for the names only; a member's bytes are read when they are asked for.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import BinaryIO
from zlib import crc32

_LOCAL, _CENTRAL, _END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
_LOCAL_HEAD = struct.Struct("<4sHHHHHIIIHH")
_CENTRAL_HEAD = struct.Struct("<4sHHHHHHIIIHHHHHII")
_END_RECORD = struct.Struct("<4sHHHHIIH")
_VERSION, _STORED = 20, 0
_NAME = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*\Z")
MAX_MEMBERS, MAX_BYTES, MAX_NAME = 65_000, 0xFFFFFFFE, 200


class Malformed(ValueError):
    """Not a zip as packs are. The message says why."""


@dataclass(frozen=True, slots=True)
class Member:
    """Where a member's bytes lie in the file."""

    name: str
    offset: int
    size: int


class Writer:
    """Writes members to ``file``, one after the other, then ``close``. Raises OSError; ValueError beyond what a pack may be."""

    def __init__(self, file: BinaryIO, made_us: int) -> None:
        self._file = file
        moment = datetime.fromtimestamp(min(max(made_us / 1e6, 315_532_800), 4_354_819_198), UTC)  # 1980 to 2107: all that a zip can say
        self._when = (
            moment.hour << 11 | moment.minute << 5 | moment.second // 2,
            (moment.year - 1980) << 9 | moment.month << 5 | moment.day,
        )
        self._central: list[bytes] = []
        self._names: set[str] = set()
        self.size = 0

    def add(self, name: str, data: bytes) -> None:
        """One more member."""
        if not is_name(name) or name in self._names:
            raise ValueError(f"no name for a new member: {name!r}")
        size = len(data)
        if self.size + size + 4096 * 1024 > MAX_BYTES or len(self._names) >= MAX_MEMBERS:
            raise ValueError("a pack holds less than 4 GiB and 65,000 members")
        raw = name.encode()
        shared = (_VERSION, 0, _STORED, *self._when, crc32(data), size, size, len(raw), 0)
        self._central.append(_CENTRAL_HEAD.pack(_CENTRAL, _VERSION, *shared, 0, 0, 0, 0, self.size) + raw)
        self._put(_LOCAL_HEAD.pack(_LOCAL, *shared) + raw)
        self._put(data)
        self._names.add(name)

    def close(self) -> None:
        """The directory. The file itself stays open."""
        at, many = self.size, len(self._central)
        for head in self._central:
            self._put(head)
        self._put(_END_RECORD.pack(_END, 0, 0, many, many, self.size - at, at, 0))

    def _put(self, data: bytes) -> None:
        self._file.write(data)
        self.size += len(data)


class Zip:
    """The members of ``file`` (seekable), checked against each other. Raises Malformed, OSError."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        size = file.seek(0, 2)
        if size > MAX_BYTES or size < _END_RECORD.size:
            raise Malformed(f"a file of {size} bytes is no evidence pack")
        mark, disk, disk2, here, many, length, at, comment = _END_RECORD.unpack(self._at(size - _END_RECORD.size, _END_RECORD.size))
        if mark != _END or disk or disk2 or here != many or comment or at + length + _END_RECORD.size != size:
            raise Malformed("the file does not end as an evidence pack ends: cut short, or made anew by another program")
        if many > MAX_MEMBERS or length > many * (_CENTRAL_HEAD.size + MAX_NAME):
            raise Malformed("its directory is larger than a pack's")
        self.members = {member.name: member for member in self._directory(self._at(at, length), many, at)}

    def read(self, name: str, most: int) -> bytes:
        """A member's bytes. Raises KeyError if there is none, Malformed beyond ``most`` bytes."""
        member = self.members[name]
        if member.size > most:
            raise Malformed(f"{name} has {member.size} bytes, more than {most}")
        return self._at(member.offset, member.size)

    def read_part(self, name: str, offset: int, size: int) -> bytes:
        """Up to ``size`` of a member's bytes from ``offset`` on. Raises KeyError."""
        member = self.members[name]
        if offset < 0:
            raise ValueError(f"no byte {offset}")
        return self._at(member.offset + offset, max(0, min(size, member.size - offset)))

    def _directory(self, data: bytes, many: int, end: int) -> Iterator[Member]:
        at, expected, seen = 0, 0, set()
        for _ in range(many):
            if at + _CENTRAL_HEAD.size > len(data):
                raise Malformed("its directory is cut short")
            mark, _made, *shared, remark, disk, _inside, _outside, offset = _CENTRAL_HEAD.unpack_from(data, at)
            size, length = shared[7], shared[8]
            name = _name(data[at + _CENTRAL_HEAD.size : at + _CENTRAL_HEAD.size + length], length)
            at += _CENTRAL_HEAD.size + length
            if mark != _CENTRAL or remark or disk or name in seen:
                raise Malformed(f"its directory's line of {name} is no pack's")
            if offset != expected:
                raise Malformed(f"{name} does not lie where the member before it ends")
            seen.add(name)
            begin = self._local(name, offset, shared)
            expected = begin + size
            if expected > end:
                raise Malformed(f"{name} reaches beyond the members")
            yield Member(name, begin, size)
        if at != len(data) or expected != end:
            raise Malformed("bytes that belong to no member")

    def _local(self, name: str, offset: int, shared: list[int]) -> int:
        """Where the member's bytes begin: its own header must say what the directory says."""
        _needed, flags, method, _time, _date, _crc, packed, size, length, extra = shared
        if flags or method != _STORED or extra or packed != size:
            raise Malformed(f"{name} is not simply stored")
        head = self._at(offset, _LOCAL_HEAD.size + length)
        if len(head) != _LOCAL_HEAD.size + length:
            raise Malformed(f"{name} is cut short")
        mark, _needed, *mine = _LOCAL_HEAD.unpack_from(head)
        if mark != _LOCAL or mine[:2] != shared[1:3] or mine[5:] != shared[6:] or head[_LOCAL_HEAD.size :] != name.encode():
            raise Malformed(f"{name} says another thing of itself than the directory says of it")
        return offset + len(head)

    def _at(self, offset: int, size: int) -> bytes:
        self._file.seek(offset)
        return self._file.read(size)


def is_name(name: str) -> bool:
    """Whether a member may be called so."""
    return len(name) <= MAX_NAME and bool(_NAME.match(name)) and not {".", ".."} & set(name.split("/"))


def _name(raw: bytes, length: int) -> str:
    name = raw.decode("latin-1")
    if len(raw) != length or not is_name(name):
        raise Malformed(f"no name of a member: {name[:MAX_NAME]!r}")
    return name
