"""Which gateways may deliver, and with which token; knows no message and no carrier.

One file a gateway in ``gateways/`` of the state folder (0600 in a 0700 folder), so that the command line can add one
while the hub runs. The token itself is printed once and only its SHA-256 is kept, which is enough for HTTP: 256
random bits need no slow hash. MQTT's codes are an HMAC keyed by the token, so a gateway added with ``mqtt`` has the
token in its file: a hash cannot check an HMAC, and a key for decrypting it would have to lie beside it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hmac
import os
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from dataclasses import replace as replaced
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson

from edge_gateway.errors import ConfigError
from edge_gateway.links.synced import write_synced
from edge_gateway.record.note import ED25519, Key, NoteError
from edge_gateway.wire import hub as wire


@dataclass(frozen=True, slots=True)
class Accepted:
    """An epoch that may be cosigned: since when (µs UTC), by whom (OS user), why."""

    epoch: str
    at_us: int
    by: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """A gateway as registered. ``token`` is empty unless it may use MQTT.

    ``keys``: ``[verifier key, since when (µs UTC)]`` of its signer, the one in force last.
    """

    id: str
    added_us: int
    token_sha256: str
    token: str = ""
    keys: list[tuple[str, int]] = field(default_factory=list)
    accepted: list[Accepted] = field(default_factory=list)

    @property
    def key(self) -> Key | None:
        """The key that signs all its epochs; None while no person gave it. Raises NoteError."""
        return Key.parse(self.keys[-1][0]) if self.keys else None


class Gateways:
    """The registry. Files are read again when they change; a removed file ends the gateway's access at once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, tuple[int, Registered]] = {}

    def add(self, gateway: str, *, mqtt: bool, wall_us: int) -> str:
        """Register a gateway and return its token, which is shown nowhere again. Raises ConfigError."""
        if not wire.is_gateway(gateway):
            raise ConfigError(f"'{gateway}' is no gateway id", hint="use a-z, 0-9 and -, 1 to 32 characters")
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        token = "rh_" + secrets.token_urlsafe(32)
        record = {"added_us": wall_us, "token_sha256": sha256(token.encode()).hexdigest()}
        if mqtt:
            record["token"] = token
        path = self._path(gateway)
        try:
            # Unlike a rename a link never replaces: two adds at once cannot both print a token.
            write_synced(path, _text(record), os.link)
        except FileExistsError:
            raise ConfigError(
                f"gateway '{gateway}' is registered already", hint=f"to replace its token remove {path} first"
            ) from None
        return token

    def give_key(
        self, gateway: str, vkey: str, *, replace: bool, wall_us: int, by: str = "", known: Sequence[str] = ()
    ) -> bool:
        """Register the key of the gateway's signer; True if it was not in force already. Raises ConfigError.

        A second, different one only with ``replace``: whoever may deliver must not be able to exchange it. The first one
        accepts the epochs that are ``known`` of the gateway by now, in the name of ``by``.
        """
        with self._alone(gateway) as registered:
            try:
                key = Key.parse(vkey)
                if key.kind != ED25519 or key.name.rpartition("/")[2] != gateway:
                    raise NoteError(f"it is of '{key.name}'")
                held = registered.key
            except NoteError as error:
                hint = "copy the whole line that `edge-gateway signer key` prints at that gateway"
                raise ConfigError(f"this is no key of gateway '{gateway}': {error}", hint=hint) from None
            if held == key:
                return False
            if held is not None and not replace:
                hint = "if its signer was really given a new key: the same command with --replace"
                raise ConfigError(f"gateway '{gateway}' has another key: {held}", hint=hint)
            accepted = list(registered.accepted)
            if held is None:
                accepted += [Accepted(epoch, wall_us, by, "known when the key was registered") for epoch in known]
            self._write(replaced(registered, keys=[*registered.keys, (str(key), wall_us)], accepted=accepted))
            return True

    def accept(self, gateway: str, epoch: str, *, by: str, reason: str, wall_us: int) -> bool:
        """From now on ``epoch`` may be cosigned; False if it might already. Raises ConfigError, OSError."""
        with self._alone(gateway) as registered:
            if any(each.epoch == epoch for each in registered.accepted):
                return False
            self._write(replaced(registered, accepted=[*registered.accepted, Accepted(epoch, wall_us, by, reason)]))
        return True

    def _registered(self, gateway: str) -> Registered:
        found = self.find(gateway)
        if found is None:
            raise ConfigError(f"gateway '{gateway}' is not registered", hint="regulator-hub gateways add ID")
        return found

    def _write(self, registered: Registered) -> None:
        record = asdict(registered)
        del record["id"]
        write_synced(self._path(registered.id), _text(record))
        self._known.pop(registered.id, None)

    @contextlib.contextmanager
    def _alone(self, gateway: str) -> Iterator[Registered]:
        """The registration, nobody else's to change meanwhile: the hub and the command line both may. Raises ConfigError."""
        self._registered(gateway)
        handle = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield self._registered(gateway)
        finally:
            os.close(handle)

    def list(self) -> list[Registered]:
        """All registered gateways, by id."""
        if not self._folder.is_dir():
            return []
        found = (self.find(path.stem) for path in sorted(self._folder.glob("*.json")))
        return [registered for registered in found if registered is not None]

    def find(self, gateway: str) -> Registered | None:
        """The gateway's registration, or None. Raises ConfigError for a file that cannot be used."""
        if not wire.is_gateway(gateway):
            return None
        path = self._path(gateway)
        try:
            changed = path.stat().st_mtime_ns
            if gateway in self._known and self._known[gateway][0] == changed:
                return self._known[gateway][1]
            record = orjson.loads(path.read_bytes())
            accepted = [Accepted(**each) for each in record.pop("accepted", [])]
            registered = Registered(id=gateway, accepted=accepted, **record)
        except FileNotFoundError:
            self._known.pop(gateway, None)
            return None
        except (orjson.JSONDecodeError, TypeError) as error:
            raise ConfigError("the registration cannot be read", file=str(path), hint="remove it, add again") from error
        self._known[gateway] = (changed, registered)
        return registered

    def authorised(self, gateway: str, token: str) -> bool:
        """Whether this is the gateway's token; as slow for an unknown gateway as for a wrong token."""
        registered = self.find(gateway)
        expected = registered.token_sha256 if registered else "0" * 64
        return hmac.compare_digest(sha256(token.encode(errors="replace")).hexdigest(), expected)

    def _path(self, gateway: str) -> Path:
        return self._folder / f"{gateway}.json"


def _text(record: dict[str, Any]) -> bytes:
    return orjson.dumps(record, option=orjson.OPT_INDENT_2) + b"\n"
