"""A hub command as signed text, and back; pure: the clock's word and the signature come from outside, and it knows no violation.

docs/reference/hub-commands.md is the format; ``tests/vectors/hub-commands.jsonl`` holds commands, good and bad.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from edge_gateway.record.note import ED25519, Key, Note, NoteError

FIRST_LINE = "edge-gateway/hub-command/v1"
RETURN, VERIFY, EXTEND, REFER = VERBS = ("return", "verify", "extend", "refer")
#: Which deadlines can be extended.
DEADLINES = ("acknowledge", "correct", "verify")
#: A signed command is at most so long (bytes).
MAX_NOTE_BYTES = 4096
#: Commands that one answer carries.
MAX_AT_ONCE = 8
#: From issue to expiry at most (µs): what may come again must be remembered that long.
MAX_LIFE_US = 31 * 86_400_000_000
#: Most characters of a person's name, of a department, of a reason.
MAX_WHO, MAX_WHY = 64, 500
_TIME = "%Y-%m-%dT%H:%M:%SZ"
_ID = re.compile(r"[0-9a-f]{32}\Z")
_EPOCH = re.compile(r"[0-9a-f]{16}\Z")
_NAME = re.compile(r"[a-z0-9-]{1,32}\Z")
_VIOLATION = re.compile(r"[a-z0-9-]{1,32}-[0-9]{1,15}\Z")
_WHOLE = re.compile(r"(?:0|[1-9][0-9]{0,14})\Z")
_CONDITIONS = ("active", "recovered", "unknown")
_HANDLINGS = ("new", "acknowledged", "correcting", "submitted")


class CommandError(ValueError):
    """Bytes that are no command, or not by the key that counts. ``code``: ``malformed`` or ``foreign-key``."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code = code


@dataclass(frozen=True, slots=True)
class Expected:
    """The state of a violation that a person at the hub saw; in another one the command is stale."""

    condition: str
    handling: str
    episode: int
    returned: int

    def __str__(self) -> str:
        return f"{self.condition} {self.handling} {self.episode} {self.returned}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HubCommand:
    """What a person at the hub wants of one violation. Times are µs UTC, whole seconds.

    ``epoch`` and ``opened`` (the opening entry's) say which violation; ``violation`` is its number as people read it. ``deadline`` and
    ``until_us`` stand in ``extend`` alone, ``to`` (a department) in ``refer`` alone.
    """

    id: str
    gateway: str
    epoch: str
    opened: int
    violation: str
    verb: str
    expected: Expected
    issued_us: int
    expires_us: int
    by: str
    reason: str
    deadline: str = ""
    until_us: int | None = None
    to: str = ""

    def body(self) -> str:
        """The note's text: what is signed."""
        lines = [
            FIRST_LINE, f"id {self.id}", f"gateway {self.gateway}", f"epoch {self.epoch}", f"opened {self.opened}",
            f"violation {self.violation}", f"verb {self.verb}", f"expected {self.expected}", f"issued {said(self.issued_us)}",
            f"expires {said(self.expires_us)}", f"by {self.by}", f"reason {self.reason}",
        ]  # fmt: skip
        if self.until_us is not None:
            lines += [f"deadline {self.deadline}", f"until {said(self.until_us)}"]
        if self.to:
            lines.append(f"to {self.to}")
        return "\n".join(lines) + "\n"

    @classmethod
    def parse(cls, text: str) -> HubCommand:
        """The text of a note. Raises CommandError unless it is spelled as ``body`` spells it."""
        first, *lines = text.split("\n")
        if first != FIRST_LINE or not lines or lines[-1]:
            raise _malformed(f"the first line is not '{FIRST_LINE}', or the last one has no newline")
        told = dict(line.partition(" ")[::2] for line in lines[:-1])
        try:
            found = _checked(told)
        except KeyError as missing:
            raise _malformed(f"no line '{missing.args[0]}'") from None
        if found.body() != text:
            raise _malformed("a line too many, out of its order, or spelled otherwise")
        return found


def opened(data: bytes, key: Key) -> HubCommand:
    """The command in a note that ``key`` (type 1) signed. Raises CommandError."""
    if len(data) > MAX_NOTE_BYTES:
        raise _malformed(f"{len(data)} bytes, more than {MAX_NOTE_BYTES}")
    try:
        note = Note.parse(data)
    except NoteError as error:
        raise _malformed(str(error)) from None
    if key.kind != ED25519 or not note.signed_by(key):
        raise CommandError("foreign-key", f"no valid signature by '{key.name}' ({key.id.hex()})")
    return HubCommand.parse(note.text)


def command_key(text: str) -> Key:
    """The key of a hub's commands. Raises ValueError."""
    key = Key.parse(text)
    if key.kind != ED25519:
        raise ValueError("this is no key of commands (type 1): the hub's cosigning key stands there?")
    return key


def said(wall_us: int) -> str:
    """An instant as a command says it: whole seconds, UTC."""
    return datetime.fromtimestamp(wall_us // 1_000_000, UTC).strftime(_TIME)


def problem(text: str, most: int) -> str:
    """What is wrong with a person's words for a line of a command, "" if nothing."""
    if not text or text != text.strip():
        return "nothing is said, or blanks stand around it"
    if any(ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0 or character in "\u2028\u2029" for character in text):
        return "a control character or a line's end is in it"
    return f"more than {most} characters" if len(text) > most else ""


def _checked(told: dict[str, str]) -> HubCommand:
    for line, form in (("id", _ID), ("gateway", _NAME), ("epoch", _EPOCH), ("opened", _WHOLE), ("violation", _VIOLATION)):
        if not form.match(told[line]):
            raise _malformed(f"'{line}' is {told[line][:40]!r}")
    verb = told["verb"]
    if verb not in VERBS:
        raise _malformed(f"no verb {verb[:40]!r}")
    if ("until" in told) != (verb == EXTEND) or ("to" in told) != (verb == REFER) or told.get("deadline", DEADLINES[0]) not in DEADLINES:
        raise _malformed("'deadline' (one of three) and 'until' belong to extend, and 'to' to refer")
    for line, most in (("by", MAX_WHO), ("reason", MAX_WHY), *((("to", MAX_WHO),) if verb == REFER else ())):
        if wrong := problem(told[line], most):
            raise _malformed(f"'{line}': {wrong}")
    issued_us, expires_us = _instant(told["issued"]), _instant(told["expires"])
    if not 0 < expires_us - issued_us <= MAX_LIFE_US:
        raise _malformed("it expires before it was issued, or more than 31 days later")
    return HubCommand(
        id=told["id"], gateway=told["gateway"], epoch=told["epoch"], opened=int(told["opened"]), violation=told["violation"],
        verb=verb, expected=_expected(told["expected"]), issued_us=issued_us, expires_us=expires_us, by=told["by"],
        reason=told["reason"], deadline=told["deadline"] if verb == EXTEND else "", until_us=_instant(told["until"]) if verb == EXTEND else None, to=told.get("to", ""),
    )  # fmt: skip


def _expected(text: str) -> Expected:
    words = text.split(" ")
    if len(words) != 4 or words[0] not in _CONDITIONS or words[1] not in _HANDLINGS or not all(_WHOLE.match(word) for word in words[2:]):
        raise _malformed(f"'expected' is {text[:80]!r}")
    return Expected(words[0], words[1], int(words[2]), int(words[3]))


def _instant(text: str) -> int:
    try:
        return int(datetime.strptime(text, _TIME).replace(tzinfo=UTC).timestamp()) * 1_000_000
    except ValueError:
        raise _malformed(f"no instant: {text[:40]!r}") from None


def _malformed(why: str) -> CommandError:
    return CommandError("malformed", why)
