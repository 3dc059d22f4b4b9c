"""Every error this program raises on purpose, named by the caller's next move; knows nothing of who raises them.

GatewayError
├─ ConfigError          mend the file; exit 78, and systemd does not restart on it
├─ SourceError
│  ├─ LinkDown          back off, reconnect
│  ├─ BadFrame          count it, keep the quiet time, resynchronise
│  └─ DeviceRefused     this block only: its readings are bad, with the device's reason
├─ JournalError
│  ├─ JournalFull       back-pressure, alarm; nothing unserved is dropped
│  │  └─ DiskFails      the same: nothing is acknowledged until all was written anew
│  ├─ JournalDamaged    move aside, go on in a new epoch, alarm
│  │  └─ SegmentDamaged one sealed segment: go on behind it, declare it skipped, alarm
│  ├─ JournalBusy       another process holds the state folder (exit 7)
│  └─ JournalTooNew     a newer release wrote it: use that release
├─ SinkError
│  ├─ Unreachable       keep everything, try again (``retry_after_s`` if the sink said when)
│  └─ NotAuthorised     keep everything, alarm, probe slowly
└─ SignerError
   ├─ SignerAway        go on unsigned, ask again
   └─ SignerRefused     go on unsigned, alarm: what we hold is not what it signed last

A refused item is not an exception: it is ``Outcome.rejected``.
"""

from __future__ import annotations


class GatewayError(Exception):
    """Root of the tree. ``hint`` says what to do now, in one sentence."""

    def __init__(self, why: str, *, hint: str = "") -> None:
        super().__init__(why)
        self.why = why
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.why}: {self.hint}" if self.hint else self.why


class ConfigError(GatewayError):
    """A configuration, profile or rule pack that cannot be used: mend ``file`` at ``line``, ``key``."""

    def __init__(
        self, why: str, *, file: str = "", line: int = 0, key: str = "", code: str = "", hint: str = ""
    ) -> None:
        super().__init__(why, hint=hint)
        self.file = file
        self.line = line
        self.key = key
        self.code = code

    def __str__(self) -> str:
        where = ":".join(part for part in (self.file, str(self.line) if self.line else "", self.key) if part)
        return ": ".join(part for part in (where, self.why, self.hint) if part)


class SourceError(GatewayError):
    """Something between us and a probe."""


class LinkDown(SourceError):
    """Nothing arrives (time-out, closed, refused, device file gone): back off and reconnect."""


class BadFrame(SourceError):
    """Bytes arrived that are no answer to the question: count, keep quiet, resynchronise. ``received`` is the evidence."""

    def __init__(self, why: str, *, received: bytes = b"", hint: str = "") -> None:
        super().__init__(why, hint=hint)
        self.received = received


class DeviceRefused(SourceError):
    """The device answered with a Modbus exception ``code``: only this block is bad."""

    def __init__(self, why: str, *, code: int, hint: str = "") -> None:
        super().__init__(why, hint=hint)
        self.code = code


class JournalError(GatewayError):
    """The record itself."""


class JournalFull(JournalError):
    """No room for ordinary batches: hold the sources back, alarm."""


class DiskFails(JournalFull):
    """The disk refuses for another reason than room: hold the sources back, alarm, try again."""


class JournalDamaged(JournalError):
    """Bytes on disk are not what was written: move aside, go on in a new epoch, alarm."""


class SegmentDamaged(JournalDamaged):
    """One sealed segment cannot be read: entries ``first`` … ``first + count - 1`` of ``epoch`` are not available."""

    def __init__(self, why: str, *, epoch: str, first: int, count: int) -> None:
        super().__init__(
            f"segment {epoch}/{first}: {why}", hint="the other segments are served; restore this file from a copy"
        )
        self.epoch = epoch
        self.first = first
        self.count = count


class JournalBusy(JournalError):
    """Another process holds the state folder."""


class JournalTooNew(JournalError):
    """Written by a newer release: run that release, or point at another state folder."""


class SinkError(GatewayError):
    """A place we deliver to."""


class Unreachable(SinkError):
    """Keep everything and try again, after ``retry_after_s`` seconds if the sink said so."""

    def __init__(self, why: str, *, retry_after_s: float | None = None, hint: str = "") -> None:
        super().__init__(why, hint=hint)
        self.retry_after_s = retry_after_s


class NotAuthorised(SinkError):
    """The sink knows us not (401, 403, 404 database): keep everything, alarm, probe slowly."""


class SignerError(GatewayError):
    """The process that signs the record."""


class SignerAway(SignerError):
    """It does not answer: go on, and ask again."""


class SignerRefused(SignerError):
    """It will not sign: ``size`` and ``root`` are what it signed last of this log (0 and b"" when it knows none)."""

    def __init__(self, why: str, *, size: int = 0, root: bytes = b"", hint: str = "") -> None:
        super().__init__(why, hint=hint)
        self.size = size
        self.root = root
