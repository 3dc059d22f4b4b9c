"""Signed notes and the keys that sign them, as C2SP signed-note has them; pure, knows no checkpoint and holds no secret.

Source: c2sp.org/signed-note v1.0.0. A note is text that ends in a newline, an empty line, and one line a signature:
``— <key name> <base64 of 4 bytes key id ‖ signature>``.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

#: Signature types of the specification: a plain Ed25519 signature, and a witness's timestamped one (tlog-cosignature).
ED25519, COSIGNATURE = 1, 4
#: A note longer than this is none of ours (bytes); the specification wants at least 16 signatures to be taken.
MAX_NOTE_BYTES = 64 * 1024
MAX_SIGNATURES = 100
_DASH = "\N{EM DASH} "
_PRIME = 2**255 - 19
#: y of the points of edwards25519 whose order divides 8: for such a key anybody can sign, so it is none.
_SMALL = (
    0,
    1,
    _PRIME - 1,
    0x5FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
    _PRIME - 0x5FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
)


class NoteError(ValueError):
    """Bytes that are no note, or a text that is no key. The message says why."""


@dataclass(frozen=True, slots=True)
class Key:
    """Who may sign: ``name`` as it stands in signature lines, the type, and 32 bytes of Ed25519 public key."""

    name: str
    kind: int
    public: bytes

    def __post_init__(self) -> None:
        if not is_key_name(self.name):
            raise NoteError(f"'{self.name}' is no key name: one word without '+'")
        if self.kind not in (ED25519, COSIGNATURE):
            raise NoteError(f"key type {self.kind} is neither Ed25519 (1) nor a witness's (4)")
        if len(self.public) != 32:
            raise NoteError(f"an Ed25519 public key has 32 bytes, not {len(self.public)}")
        y = int.from_bytes(self.public, "little") % 2**255
        if y >= _PRIME or y in _SMALL:
            raise NoteError("anybody can sign for this public key: it is a point of small order, or spelled as none is")

    @property
    def id(self) -> bytes:
        """SHA-256(name ‖ newline ‖ type ‖ public key), the first four bytes: tells keys of one name apart, proves nothing."""
        return sha256(self.name.encode() + b"\n" + bytes((self.kind,)) + self.public).digest()[:4]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the 32 bytes of the public key: 64 hex digits in groups of four, for people to compare."""
        digits = sha256(self.public).hexdigest()
        return " ".join(digits[at : at + 4] for at in range(0, 64, 4))

    @classmethod
    def parse(cls, vkey: str) -> Key:
        """``<name>+<id in hex>+<base64 of type ‖ public key>``. Raises NoteError."""
        name, _, rest = vkey.strip(" \t\r\n").partition("+")
        shown, _, material = rest.partition("+")
        raw = unbase64(material)
        if raw is None or len(raw) < 2:
            raise NoteError("a verifier key has the form <name>+<8 hex digits>+<base64>")
        key = cls(name, raw[0], raw[1:])
        if key.id.hex() != shown:
            raise NoteError(f"the key's id is {key.id.hex()}, not {shown}: a letter was lost or altered")
        return key

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(bytes((self.kind,)) + self.public).decode()}"

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Whether ``signature`` (64 bytes) is this key's over ``message`` (RFC 8032)."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line: whose it says it is, and its bytes after the key id."""

    name: str
    key_id: bytes
    data: bytes

    @classmethod
    def parse(cls, line: str) -> Signature:
        """A line without its newline. Raises NoteError."""
        name, _, text = line.removeprefix(_DASH).partition(" ")
        raw = unbase64(text)
        if not line.startswith(_DASH) or not is_key_name(name) or raw is None or len(raw) < 5:
            raise NoteError(f"no signature line: {line[:80]!r}")
        return cls(name, raw[:4], raw[4:])

    def line(self) -> str:
        """With its newline."""
        return f"{_DASH}{self.name} {base64.b64encode(self.key_id + self.data).decode()}\n"

    def is_by(self, key: Key) -> bool:
        """Whether name and id are the key's; whether it is right, only verifying tells."""
        return self.name == key.name and self.key_id == key.id


@dataclass(frozen=True, slots=True)
class Note:
    """``text`` with its final newline, and its signatures, checked or not."""

    text: str
    signatures: tuple[Signature, ...]

    @classmethod
    def parse(cls, data: bytes) -> Note:
        """Raises NoteError for bytes that are no signed note."""
        if len(data) > MAX_NOTE_BYTES:
            raise NoteError(f"a note of {len(data)} bytes, more than {MAX_NOTE_BYTES}")
        try:
            whole = data.decode()
        except UnicodeDecodeError as error:
            raise NoteError(f"no UTF-8 at byte {error.start}") from None
        if any(ord(character) < 0x20 and character != "\n" for character in whole):
            raise NoteError("a control character within the note")
        text, gap, lines = whole.rpartition("\n\n")
        if not gap or not lines.endswith("\n"):
            raise NoteError("no empty line before the signatures, or no newline at the end")
        found = tuple(Signature.parse(line) for line in lines[:-1].split("\n"))
        if len(found) > MAX_SIGNATURES:
            raise NoteError(f"{len(found)} signatures, more than {MAX_SIGNATURES}")
        return cls(text + "\n", found)

    def __bytes__(self) -> bytes:
        return note_bytes(self.text, self.signatures)

    def by(self, key: Key) -> tuple[Signature, ...]:
        """The signatures that carry the key's name and id."""
        return tuple(signature for signature in self.signatures if signature.is_by(key))

    def signed_by(self, key: Key) -> bool:
        """Whether ``key`` (of type 1) signed the text. A wrong signature under its name and id makes it False."""
        mine = self.by(key)
        return bool(mine) and all(key.verifies(self.text.encode(), signature.data) for signature in mine)


def note_bytes(text: str, signatures: Iterable[Signature]) -> bytes:
    """The note as it is stored and sent. ``text`` ends in a newline."""
    return (text + "\n" + "".join(signature.line() for signature in signatures)).encode()


def merged(older: bytes, newer: bytes) -> bytes:
    """``newer``, and the signatures of ``older`` by others, if both are notes of one text; else ``newer`` as it is."""
    try:
        kept, note = Note.parse(older), Note.parse(newer)
    except NoteError:
        return newer
    if kept.text != note.text:
        return newer
    mine = {(each.name, each.key_id) for each in note.signatures}
    others = [each for each in kept.signatures if (each.name, each.key_id) not in mine]
    return note_bytes(note.text, [*note.signatures, *others])


def is_key_name(name: str) -> bool:
    """One word without '+': no Unicode space, no control character."""
    return bool(name) and "+" not in name and not any(c.isspace() or ord(c) < 0x20 for c in name)


def unbase64(text: str) -> bytes | None:
    """The bytes that ``text`` spells; None for anything but their one spelling."""
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError:
        return None
    return raw if base64.b64encode(raw).decode() == text else None  # padding bits are zero
