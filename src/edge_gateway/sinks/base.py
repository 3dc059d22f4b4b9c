"""The contract between a sink and shipping; knows no sink and no shipping."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from edge_gateway.errors import SinkError, Unreachable
from edge_gateway.journal.base import EpochInfo, Quarantined, Reader
from edge_gateway.record.note import Key


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Consecutive committed entries of one epoch, exact bytes, ``first`` being the first one's seq.

    ``branch_of``: (epoch, size) whose first ``size`` entries are this one's too.
    """

    epoch: str
    first: int
    entries: Sequence[bytes]
    branch_of: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """An item the sink itself refused: the line as sent and the sink's words. It goes to the quarantine."""

    seq: int
    line: str
    reason: str


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What became of a run: the first ``accepted`` entries are served (delivered, or rejected one by one).

    ``accepted`` may be less than the run: the cursor moves that far and the rest is offered again.
    ``receipt`` is the hub's own word; without it the hub's cursor never moves.
    """

    accepted: int
    rejected: list[Rejected] = field(default_factory=list)
    receipt: dict[str, Any] | None = None
    #: why delivery stopped short (clock untrusted, rate limit, …): shown in status; "" when nothing holds
    held: str = ""


class Sink(Protocol):
    """Anything entries are delivered to, in order.

    ``deliver`` raises Unreachable (keep all, come back after ``retry_after_s`` or the caller's back-off) or
    NotAuthorised (keep all, alarm, probe slowly). It never drops and never retries by itself.
    """

    @property
    def name(self) -> str: ...

    @property
    def max_entries(self) -> int:
        """Most entries a run should have."""
        ...

    @property
    def max_bytes(self) -> int:
        """Most bytes of entries a run should have."""
        ...

    async def deliver(self, run: Run, reader: Reader) -> Outcome: ...

    def status(self) -> dict[str, Any]:
        """JSON-able: what this sink knows of its link (state, last error, counters)."""
        ...

    async def close(self) -> None: ...


@runtime_checkable
class Retrying(Protocol):
    """A sink that takes refused lines again, one by one."""

    async def retry(self, items: Sequence[Quarantined]) -> list[tuple[int, str]]:
        """Offer each once more; returns (id, "") if taken, else (id, the sink's words). Raises as ``deliver`` does.

        Items beyond what its pacing allows now are not in the answer.
        """
        ...


@runtime_checkable
class Metered(Protocol):
    """A sink that counts what it sends, and can send less."""

    @property
    def sent_bytes(self) -> int:
        """Bytes of requests and messages since the start, compressed as they go out; what lies around them is not counted."""
        ...

    def spare(self, spare: bool) -> None:
        """Whether the day's bytes are spent: then nothing goes out by itself but what cannot wait (the hub's live lane)."""
        ...


@runtime_checkable
class Commanding(Protocol):
    """A hub whose answers bring commands."""

    @property
    def command_key(self) -> Key | None:
        """Whose commands count; None where no person gave a key."""
        ...

    def commanded(self, hear: Callable[[Sequence[bytes]], None]) -> None:
        """``hear`` signed notes from now on, as often as they come."""
        ...


class Conflict(SinkError):
    """The hub holds other bytes at ``seq`` of ``epoch`` (leaf hash ``hash``, hex) and closed that epoch.

    Keep everything, alarm, go on in a new epoch.
    """

    def __init__(self, why: str, *, epoch: str, seq: int, hash: str) -> None:  # noqa: A002 -- the protocol's word
        super().__init__(why, hint="the record forked: an older state was restored, or two gateways use one id")
        self.epoch = epoch
        self.seq = seq
        self.hash = hash


class Hole(Unreachable):
    """The hub expects entry ``size`` of ``epoch`` next, which is before what was offered."""

    def __init__(self, epoch: str, size: int) -> None:
        super().__init__(f"the hub expects entry {size} of epoch {epoch}")
        self.epoch = epoch
        self.size = size


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What the hub says it durably holds of one epoch: entries 0 … size-1 but for declared ``skipped`` ranges.

    ``closed``: it found other bytes in it (a conflict) and takes no more of this epoch. ``witnessed``: how far it cosigned.
    ``skipped``: some of it was declared gone.
    """

    epoch: str
    size: int
    closed: bool = False
    witnessed: int = 0
    skipped: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the hub said to a checkpoint: ``note`` with its cosignature, or b"" and ``code`` and ``why`` not.

    ``alarm``: a code, where a person must look; "" otherwise. ``again_s``: when asking again makes sense (0: at once).
    ``supported``: False for a hub that cosigns nothing. ``only_this``: it says nothing of other epochs' checkpoints.
    """

    note: bytes = b""
    code: str = ""
    alarm: str = ""
    why: str = ""
    again_s: float = 0.0
    supported: bool = True
    only_this: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalled:
    """The newest state that the hub holds of an earlier record of ours: ``entries`` from ``first`` on, a snapshot the first of them.

    ``texts``: by hash, those without which they cannot be judged again.
    """

    epoch: str
    first: int
    entries: tuple[bytes, ...]
    texts: Mapping[str, bytes]


class NotRecalled(SinkError):
    """What the hub gives back of a state is none, or not whole: asking it again will not help."""


#: Which of the places (epoch, size) that the hub offers is to be had back; None: none of them.
Choose = Callable[[Sequence[tuple[str, int]]], Awaitable[int | None]]


class HubLink(Sink, Protocol):
    """The hub: a sink that remembers, is asked where it stands, and has a live lane beside the ordered one."""

    async def meet(self, epochs: Sequence[EpochInfo]) -> list[Held]:
        """Open a session and ask the hub's size of each epoch we hold (0 when it has none).

        Raises Unreachable or NotAuthorised. After any SinkError from ``deliver``, shipping meets again first.
        """
        ...

    async def declare_skipped(self, epoch: str, first: int, count: int, roots: Sequence[str], reason: str) -> None:
        """Tell the hub that entries first … first+count-1 are gone for good (whole segments, their kept roots)."""
        ...

    async def standing(self) -> tuple[int, list[dict[str, Any]]] | None:
        """The highest number of a violation that the hub knows of us, and records of those that stand open there.

        None from a hub that does not know the question. Raises as ``meet`` does.
        """
        ...

    def apart(self) -> AbstractAsyncContextManager[None]:
        """Before ``run_live``: a session in which ``recall`` and ``notes`` can be asked. Raises as ``meet`` does."""
        ...

    async def recall(self, choose: Choose) -> Recalled | None:
        """What the hub holds of a record of ours that is gone here; None where it holds nothing that is wanted.

        Raises as ``meet`` does, and NotRecalled.
        """
        ...

    async def notes(self) -> list[tuple[str, int, bytes]]:
        """``(epoch, size, note)``: checkpoints of ours that the hub gives back with its right cosignature, the newest of each epoch.

        Raises as ``meet`` does.
        """
        ...

    async def remind(self, epoch: str, size: int) -> None:
        """Show the hub its own receipt: it said that it holds ``size`` entries, and holds fewer. Raises as ``meet`` does."""
        ...

    async def show(self, epoch: str, note: bytes) -> Verdict:
        """Show a signed checkpoint of entries that the hub holds. Raises Unreachable or NotAuthorised."""
        ...

    async def fetch(self, epoch: str, first: int, count: int) -> list[bytes] | None:
        """Our own entries back, some from ``first`` on: [] if the hub does not hold them, None if it cannot give any back.

        What they are is for the caller to check. Raises Unreachable or NotAuthorised.
        """
        ...

    async def show_photo(self, reader: Reader) -> str | None:
        """Send a part of a photo that the hub asked for: its hash with the hub's receipt, "" before that, None if none is asked for.

        Raises Unreachable or NotAuthorised.
        """
        ...

    @property
    def photo_bytes(self) -> int:
        """Bytes of photos since the start, with what lies around them."""
        ...

    def witnessed(self, epoch: str, note: bytes) -> bool:
        """Whether a note that was kept carries the hub's right cosignature."""
        ...

    def offer(self, epoch: str, first: int, entries: Sequence[bytes]) -> None:
        """Live lane: newly committed entries; bounded, newest wins per point, a violation is never displaced."""
        ...

    async def run_live(self, reader: Reader) -> None:
        """Send the live lane until cancelled; link trouble is its own affair. It moves nothing."""
        ...
