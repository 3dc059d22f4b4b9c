"""One lane's session with the hub: nonces, counters, answers that count; knows no carrier's bytes and no cursor."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from edge_gateway.errors import NotAuthorised, Unreachable
from edge_gateway.wire import hub as wire
from edge_gateway.wire.command import MAX_AT_ONCE, MAX_NOTE_BYTES
from edge_gateway.wire.hub import WireError

#: Problems after which a new session at once is the right move.
_BEGIN_AGAIN = frozenset({"unknown-session", "counter"})


class Carrier(Protocol):
    """Takes a message to the hub and brings the answer that names it."""

    async def ask(self, session: str, n: int, message: bytes) -> dict[str, Any]:
        """The answer for which ``names(answer, session, n)`` holds. Raises Unreachable or NotAuthorised."""
        ...

    async def run(self) -> None:
        """Whatever the carrier must keep doing, until cancelled."""
        ...

    def status(self) -> dict[str, Any]: ...

    async def close(self) -> None: ...


class Counted:
    """A carrier, how many bytes of messages it was given, and who hears the commands that stand beside answers."""

    def __init__(self, carrier: Carrier) -> None:
        self.counted = carrier
        self.sent_bytes = 0
        self.commanded: Callable[[Sequence[bytes]], None] = _nobody

    async def ask(self, session: str, n: int, message: bytes) -> dict[str, Any]:
        """See ``Carrier``. What got no answer was sent all the same."""
        self.sent_bytes += len(message)
        answer = await self.counted.ask(session, n, message)
        if notes := command_notes(answer):
            self.commanded(notes)
        return answer

    async def run(self) -> None:
        """See ``Carrier``."""
        await self.counted.run()

    def status(self) -> dict[str, Any]:
        """JSON-able."""
        return self.counted.status() | {"sent_bytes": self.sent_bytes}

    async def close(self) -> None:
        """See ``Carrier``."""
        await self.counted.close()


def _nobody(_notes: Sequence[bytes]) -> None:
    """Where nobody obeys, commands stay at the hub."""


def command_notes(answer: Mapping[str, Any]) -> list[bytes]:
    """Signed notes beside an answer, of any lane; what is no short text is none."""
    told = answer.get("commands")
    notes = [text.encode(errors="replace") for text in told[:MAX_AT_ONCE] if isinstance(text, str)] if isinstance(told, list) else []
    return [note for note in notes if len(note) <= MAX_NOTE_BYTES]


def names(answer: Mapping[str, Any], session: str, n: int) -> bool:
    """Whether an answer belongs to this message of this session: any other frees nothing."""
    begun = str(answer.get("session", ""))
    mine = begun.startswith(session) if len(session) == 32 else begun == session
    return mine and answer.get("n") == n and not isinstance(answer["n"], bool)


def raise_problem(problem: Mapping[str, Any], *, retry_after_s: float | None = None) -> None:
    """Raise what a problem of the protocol (RFC 9457) means for us."""
    code, detail = str(problem.get("code", "")), str(problem.get("detail", ""))[:300]
    if code == "unauthorised":
        raise NotAuthorised(f"the hub refuses us: {detail}", hint="check site.id and the token file")
    if code in _BEGIN_AGAIN:
        raise Unreachable(f"the hub wants a new session: {detail}")
    raise Unreachable(f"the hub answers {code or problem.get('status')}: {detail}", retry_after_s=retry_after_s)


class Lane:
    """At most one message is under way. After any trouble the session is over: ``hello`` begins the next."""

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier
        self._session = ""
        self._n = 0
        self.sent_bytes = 0  # of this lane's messages

    @property
    def open(self) -> bool:
        """Whether a session stands."""
        return bool(self._session)

    async def hello(self, epochs: Sequence[tuple[str, int]]) -> dict[str, Any]:
        """Begin a session; what the hub says of these ``(epoch, size)``. Raises Unreachable, NotAuthorised."""
        self._session = ""
        nonce = secrets.token_hex(16)
        header = {"kind": "hello", "session": nonce, "n": 0, "epochs": [list(item) for item in epochs]}
        answer = await self._carrier.ask(nonce, 0, wire.encode_message(header))
        self._raise(answer)
        hello = answer.get("hello")
        if not isinstance(hello, dict) or not isinstance(hello.get("sizes"), dict):
            raise Unreachable("the hub's answer to hello is none", hint="is this address a hub's?")
        self._session, self._n = str(answer["session"]), 0
        return hello

    async def ask(self, header: Mapping[str, Any], body: bytes = b"") -> dict[str, Any]:
        """The answer to one message. Raises Unreachable, NotAuthorised; WireError when it exceeds the bounds."""
        if not self._session:
            raise Unreachable("no session with the hub")
        self._n += 1
        message = wire.encode_message({**header, "session": self._session, "n": self._n}, body)
        self.sent_bytes += len(message)
        session, self._session = self._session, ""  # over, unless the answer comes
        answer = await self._carrier.ask(session, self._n, message)
        self._raise(answer)
        self._session = session
        return answer

    def _raise(self, answer: Mapping[str, Any]) -> None:
        problem = answer.get("problem")
        if isinstance(problem, dict):
            raise_problem(problem)


def decoded(data: bytes) -> dict[str, Any]:
    """An answer's object. Raises Unreachable for bytes that are none: a proxy's page, say."""
    try:
        return wire.decode_answer(data)
    except WireError as error:
        raise Unreachable(
            f"what answers is no hub: {error.why}", hint="check the address, and proxies before it"
        ) from None
