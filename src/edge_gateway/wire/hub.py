"""Messages and answers of docs/reference/hub-protocol.md as bytes and back; knows no socket, broker, disk or clock.

Both sides use it: what one encodes the other decodes. Everything that comes from outside is bounded before it is
inflated or parsed, and refused with a ``WireError`` whose code is the protocol's.
"""

from __future__ import annotations

import hmac
import re
import zlib
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import orjson

from edge_gateway.record.entry import MAX_ENTRY_BYTES, MAX_INTEGER

VERSION = 1
MAX_COMPRESSED_BYTES = 256 * 1024
MAX_INFLATED_BYTES = 4 * 1024 * 1024
MAX_HEADER_BYTES = 256 * 1024
MAX_ENVELOPE_BYTES = 512
MAX_RUN_BYTES = MAX_HEADER_BYTES - 1024
#: Of a text in one answer: base64 of that much still fits where nothing compresses.
MAX_PART_BYTES = 128 * 1024
MAX_HELLO_EPOCHS = 256
MAX_NEED_TEXT = 16
#: Entries of an epoch are numbered below this (at 1,000 a second: 35 years).
MAX_SEQ = 2**40
#: Seconds a gateway waits for an answer before it begins a new session, and the hub for a request's body.
ANSWER_TIMEOUT_S = 30.0
#: How fast compression tries: level 1 halves the gateway's cost of level 6 for a fifth more bytes.
GZIP_LEVEL = 1
#: Narrow entries (one or two points each) are mostly names and times: level 7 takes a third off, and there are few bytes.
NARROW_BYTES, NARROW_GZIP_LEVEL = 512, 7

KINDS = frozenset({"hello", "entries", "live", "skipped", "text", "checkpoint", "receipt", "fetch", "standing", "recall", "fetch-text", "notes", "photo"})
_BARE = frozenset({"hello", "skipped", "receipt", "fetch", "standing", "recall", "fetch-text", "notes"})

#: Kinds of entries that the live lane never displaces: what persons and rules did, which somebody at the hub waits for.
URGENT_KINDS = frozenset({"violation", "command", "mark", "phase", "calibration"})
_KIND = re.compile(rb'"kind":"([a-z-]{1,16})"')

Direction = Literal["up", "down"]

_GATEWAY = re.compile(r"[a-z0-9-]{1,32}\Z")
_EPOCH = re.compile(r"[0-9a-f]{16}\Z")
_SESSION = re.compile(r"[0-9a-f]{32}(?:[0-9a-f]{32})?\Z")
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_REASON = re.compile(r"[a-z0-9-]{1,64}\Z")

#: Code of a problem -> HTTP status and title (section 8 of the page).
PROBLEMS: Mapping[str, tuple[int, str]] = {
    "unauthorised": (401, "Unknown gateway or wrong token"),
    "not-gzip": (400, "Not one gzip member"),
    "bad-header": (400, "The first line is no header"),
    "bad-body": (400, "The body is not what the header announces"),
    "entry-too-large": (400, "An entry is larger than 192 KiB"),
    "bad-sha256": (400, "The text has another hash"),
    "version": (400, "Unknown version of the protocol"),
    "unknown-session": (409, "Unknown session"),
    "counter": (409, "The message's number is not greater than the last one's"),
    "too-large": (413, "More than 256 KiB compressed"),
    "inflated-too-large": (413, "More than 4 MiB inflated"),
    "too-many-epochs": (409, "Too many epochs of one gateway"),
    "slow": (408, "The body did not come in time"),
    "storage": (503, "The hub cannot store now"),
    "stopping": (503, "The hub is ending"),
}


class WireError(ValueError):
    """Bytes that are no message, envelope or answer. ``code`` is a key of ``PROBLEMS``."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code = code
        self.why = why


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message as it came: checked header, body still as bytes. Unknown kinds come through."""

    kind: str
    session: str
    n: int
    head: Mapping[str, Any]
    body: bytes

    def entries(self) -> list[bytes]:
        """The body's entry bytes, as many as announced. Raises WireError (``bad-body``, ``entry-too-large``)."""
        announced = self.head["count"] if self.kind == "entries" else len(self.head["seqs"])
        if not self.body.endswith(b"\n"):
            raise WireError("bad-body", "the body does not end with a newline")
        lines = self.body[:-1].split(b"\n")
        if len(lines) != announced:
            raise WireError("bad-body", f"{announced} entries announced, {len(lines)} lines came")
        for number, line in enumerate(lines):
            if not line:
                raise WireError("bad-body", f"entry {number} of the message is empty")
            if len(line) > MAX_ENTRY_BYTES:
                raise WireError("entry-too-large", f"entry {number} of the message has {len(line)} bytes")
        return lines


def is_urgent(entry: bytes) -> bool:
    """Whether an entry is of one of ``URGENT_KINDS``: its kind stands before whatever people wrote."""
    found = _KIND.search(entry)
    return found is not None and found[1].decode() in URGENT_KINDS


def is_gateway(text: str) -> bool:
    """Whether this may be a gateway's id."""
    return _GATEWAY.match(text) is not None


# --- Messages -------------------------------------------------------------------------------------------------


def encode_message(header: Mapping[str, Any], body: bytes = b"") -> bytes:
    """One gzip member of header line and body. Raises WireError when a bound of section 2 is exceeded."""
    plain = orjson.dumps({"v": VERSION, **header}) + b"\n" + body
    if len(plain) > MAX_INFLATED_BYTES:
        raise WireError("inflated-too-large", f"{len(plain)} bytes, at most {MAX_INFLATED_BYTES}")
    count = header.get("count")
    narrow = isinstance(count, int) and len(body) < NARROW_BYTES * count
    packer = zlib.compressobj(NARROW_GZIP_LEVEL if narrow else GZIP_LEVEL, zlib.DEFLATED, 31)
    data = packer.compress(plain) + packer.flush()
    if len(data) > MAX_COMPRESSED_BYTES:
        raise WireError("too-large", f"{len(data)} bytes compressed, at most {MAX_COMPRESSED_BYTES}")
    return data


def lines(entries: Sequence[bytes]) -> bytes:
    """A body of entries: each followed by a newline."""
    return b"\n".join(entries) + b"\n"


def inflate(data: bytes) -> bytes:
    """Exactly one gzip member, never more than 4 MiB of output whatever the input claims. Raises WireError."""
    if len(data) > MAX_COMPRESSED_BYTES:
        raise WireError("too-large", f"{len(data)} bytes compressed, at most {MAX_COMPRESSED_BYTES}")
    unpacker = zlib.decompressobj(31)
    try:
        plain = unpacker.decompress(data, MAX_INFLATED_BYTES + 1)
    except zlib.error as error:
        raise WireError("not-gzip", str(error)) from None
    if len(plain) > MAX_INFLATED_BYTES:
        raise WireError("inflated-too-large", f"more than {MAX_INFLATED_BYTES} bytes inflated")
    if not unpacker.eof:
        raise WireError("not-gzip", "the gzip member is cut off")
    if unpacker.unused_data:
        raise WireError("not-gzip", "bytes follow the gzip member")
    return plain


def decode_message(data: bytes) -> Message:
    """A message from its gzip bytes. Raises WireError; the body's lines are checked by ``Message.entries``."""
    plain = inflate(data)
    end = plain.find(b"\n", 0, MAX_HEADER_BYTES + 1)
    if end < 0:
        raise WireError("bad-header", f"no first line of at most {MAX_HEADER_BYTES} bytes")
    head = _object(plain[:end])
    kind = head.get("kind")
    if not isinstance(kind, str) or len(kind) > 64:
        raise WireError("bad-header", "'kind' is no short text")
    session, n = _session(head, ends="both")
    if (kind == "hello") != (n == 0) or (kind == "hello") != (len(session) == 32):
        raise WireError("bad-header", "a hello has n 0 and 32 digits of session, every other message n > 0 and 64")
    if check := _CHECKS.get(kind):
        check(head)
    body = plain[end + 1 :]
    if body and (kind in _BARE or (kind == "text" and head.get("gone") is True)):
        raise WireError("bad-body", f"a message of kind '{kind}' has no body")
    return Message(kind=kind, session=session, n=n, head=head, body=body)


def _object(line: bytes) -> dict[str, Any]:
    try:
        head = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise WireError("bad-header", f"not JSON: {error}") from None
    if not isinstance(head, dict):
        raise WireError("bad-header", "not an object")
    if head.get("v") != VERSION or isinstance(head["v"], bool):
        raise WireError("version", f"version {VERSION} is spoken here")
    return head


def _session(head: Mapping[str, Any], *, ends: Literal["both", "full"]) -> tuple[str, int]:
    session = head.get("session")
    if not isinstance(session, str) or not _SESSION.match(session) or (ends == "full" and len(session) != 64):
        raise WireError("bad-header", "'session' is not 32 or 64 hex digits")
    return session, _number(head, "n")


def _number(head: Mapping[str, Any], key: str, least: int = 0) -> int:
    value = head.get(key)
    if not _whole(value, least):
        raise WireError("bad-header", f"'{key}' is no whole number from {least} to 2^53 - 1")
    return int(head[key])


def _whole(value: object, least: int = 0) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= MAX_INTEGER


def _matches(head: Mapping[str, Any], key: str, pattern: re.Pattern[str], what: str) -> None:
    value = head.get(key)
    if not isinstance(value, str) or not pattern.match(value):
        raise WireError("bad-header", f"'{key}' is not {what}")


def _check_hello(head: Mapping[str, Any]) -> None:
    epochs = head.get("epochs")
    if not isinstance(epochs, list) or len(epochs) > MAX_HELLO_EPOCHS:
        raise WireError("bad-header", f"'epochs' is no list of at most {MAX_HELLO_EPOCHS}")
    for item in epochs:
        if not (isinstance(item, list) and len(item) == 2 and isinstance(item[0], str) and _EPOCH.match(item[0])):
            raise WireError("bad-header", "'epochs' has an item that is not [epoch, size]")
        if not _whole(item[1]):
            raise WireError("bad-header", "'epochs' has a size that is no whole number")
    if len({item[0] for item in epochs}) != len(epochs):
        raise WireError("bad-header", "'epochs' names an epoch twice")


def _check_entries(head: Mapping[str, Any]) -> None:
    _matches(head, "epoch", _EPOCH, "16 hex digits")
    if _number(head, "first") + _number(head, "count", 1) > MAX_SEQ:
        raise WireError("bad-header", "'first' + 'count' exceeds 2^40")
    if "branch_of" in head:
        left = head["branch_of"]
        if not isinstance(left, dict):
            raise WireError("bad-header", "'branch_of' is no object")
        _matches(left, "epoch", _EPOCH, "16 hex digits")
        if _number(left, "size") >= MAX_SEQ:
            raise WireError("bad-header", "'branch_of' has a size beyond 2^40")


def _check_live(head: Mapping[str, Any]) -> None:
    _matches(head, "epoch", _EPOCH, "16 hex digits")
    seqs = head.get("seqs")
    if not isinstance(seqs, list) or not seqs or not all(_whole(seq) for seq in seqs):
        raise WireError("bad-header", "'seqs' is no list of whole numbers")
    if seqs[-1] >= MAX_SEQ or any(b <= a for a, b in pairwise(seqs)):
        raise WireError("bad-header", "'seqs' does not increase, or exceeds 2^40")


def _check_skipped(head: Mapping[str, Any]) -> None:
    _check_entries(head)
    _matches(head, "reason", _REASON, "an identifier")
    roots = head.get("roots")
    if not isinstance(roots, list) or not roots:
        raise WireError("bad-header", "'roots' is no list of at least one root")
    if not all(isinstance(root, str) and _SHA256.match(root) for root in roots):
        raise WireError("bad-header", "'roots' has an item that is not 64 hex digits")


def _check_receipt(head: Mapping[str, Any]) -> None:
    _matches(head, "epoch", _EPOCH, "16 hex digits")
    _number(head, "size")


def _check_text(head: Mapping[str, Any]) -> None:
    _matches(head, "sha256", _SHA256, "64 hex digits")
    if not isinstance(head.get("gone", False), bool):
        raise WireError("bad-header", "'gone' is neither true nor false")


def _check_fetch_text(head: Mapping[str, Any]) -> None:
    _matches(head, "sha256", _SHA256, "64 hex digits")
    _number(head, "at")


def _check_photo(head: Mapping[str, Any]) -> None:
    _matches(head, "sha256", _SHA256, "64 hex digits")
    _number(head, "bytes")
    _number(head, "at")
    if not isinstance(head.get("gone", False), bool):
        raise WireError("bad-header", "'gone' is neither true nor false")


def _check_standing(head: Mapping[str, Any]) -> None:
    after = head.get("after", "")
    if not isinstance(after, str) or len(after) > 64:
        raise WireError("bad-header", "'after' is no short text")


def _check_recall(head: Mapping[str, Any]) -> None:
    before = head.get("before")
    if before is not None:
        if not isinstance(before, dict):
            raise WireError("bad-header", "'before' is no place of an entry")
        _matches(before, "epoch", _EPOCH, "16 hex digits")
        _number(before, "seq")


_CHECKS = {
    "hello": _check_hello,
    "entries": _check_entries,
    "live": _check_live,
    "skipped": _check_skipped,
    "text": _check_text,
    "receipt": _check_receipt,
    "fetch": _check_entries,
    "standing": _check_standing,
    "recall": _check_recall,
    "fetch-text": _check_fetch_text,
    "photo": _check_photo,
}


# --- Answers --------------------------------------------------------------------------------------------------


def encode_answer(session: str, n: int, answer: Mapping[str, Any]) -> bytes:
    """An answer as JSON bytes."""
    return orjson.dumps({"v": VERSION, "session": session, "n": n, **answer})


def decode_answer(data: bytes) -> dict[str, Any]:
    """An answer's object, ``v``, ``session`` and ``n`` checked for shape only. Raises WireError."""
    if len(data) > MAX_HEADER_BYTES:
        raise WireError("too-large", f"an answer of {len(data)} bytes")
    answer = _object(data)
    _session(answer, ends="full")
    return answer


def encode_run(entries: Sequence[bytes]) -> dict[str, Any]:
    """Entries in an answer to ``fetch``, as many of them as an answer has room for; at least one, or ``gone``."""
    count = len(entries)
    while count:
        packed = b64encode(zlib.compress(lines(entries[:count]), GZIP_LEVEL, 31)).decode()
        if len(packed) <= MAX_RUN_BYTES:
            return {"entries": packed, "count": count}
        count //= 2
    return {"gone": True}


def decode_run(answer: Mapping[str, Any]) -> list[bytes]:
    """The entries of such an answer; [] for ``gone``. Raises WireError."""
    if answer.get("gone") is True:
        return []
    packed = answer.get("entries")
    try:
        plain = inflate(b64decode(packed if isinstance(packed, str) else "", validate=True))
    except ValueError as error:
        raise WireError("bad-body", f"the answer's entries do not read: {error}") from None
    found = plain[:-1].split(b"\n")
    if not plain.endswith(b"\n") or len(found) != answer.get("count"):
        raise WireError("bad-body", "the answer does not hold the entries that it announces")
    return found


def encode_part(text: bytes, at: int) -> dict[str, Any]:
    """A stretch of a text in an answer to ``fetch-text``, from byte ``at`` on; ``size`` is the whole text's."""
    packed = zlib.compress(text[at : at + MAX_PART_BYTES], GZIP_LEVEL, 31)
    return {"part": b64encode(packed).decode(), "size": len(text)}


def decode_part(answer: Mapping[str, Any]) -> bytes:
    """The bytes of such an answer; b"" for ``gone``. Raises WireError."""
    if answer.get("gone") is True:
        return b""
    packed = answer.get("part")
    try:
        return inflate(b64decode(packed if isinstance(packed, str) else "", validate=True))
    except ValueError as error:
        raise WireError("bad-body", f"the answer's text does not read: {error}") from None


def problem(code: str, detail: str) -> dict[str, Any]:
    """The RFC 9457 object of a code."""
    status, title = PROBLEMS[code]
    return {"type": "about:blank", "title": title, "status": status, "code": code, "detail": detail}


# --- The envelope on MQTT -------------------------------------------------------------------------------------


def mac(token: str, direction: Direction, gateway: str, session: str, n: int, rest: bytes) -> str:
    """HMAC-SHA256 in hex over direction, gateway, session nonce, counter and body, keyed by the token."""
    signed = f"rh/v1\n{direction}\n{gateway}\n{session}\n{n}\n".encode() + rest
    return hmac.digest(token.encode("ascii"), signed, "sha256").hex()


@dataclass(frozen=True, slots=True)
class Sealed:
    """An opened envelope whose code was right."""

    session: str
    n: int
    rest: bytes


def seal(token: str, direction: Direction, gateway: str, session: str, n: int, rest: bytes) -> bytes:
    """An MQTT payload: the envelope's line, then ``rest`` (message or answer)."""
    code = mac(token, direction, gateway, session, n, rest)
    return orjson.dumps({"v": VERSION, "session": session, "n": n, "mac": code}) + b"\n" + rest


def unseal(token: str, direction: Direction, gateway: str, payload: bytes) -> Sealed:
    """Open an MQTT payload. Raises WireError for anything that does not carry the right code."""
    end = payload.find(b"\n", 0, MAX_ENVELOPE_BYTES + 1)
    if end < 0:
        raise WireError("bad-header", "no envelope")
    head = _object(payload[:end])
    session, n = _session(head, ends="both")
    code = head.get("mac")
    rest = payload[end + 1 :]
    if not isinstance(code, str) or not _SHA256.match(code):
        raise WireError("unauthorised", "the envelope has no code")
    if not hmac.compare_digest(code, mac(token, direction, gateway, session, n, rest)):
        raise WireError("unauthorised", "the envelope's code is not the token's")
    return Sealed(session, n, rest)
