"""``people.toml`` in the state folder: names, roles and hashes of secrets; read whole, written whole, for the service's user alone.

Knows no journal: whoever changes it puts that on record first.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_gateway.errors import GatewayError
from edge_gateway.links.synced import write_synced
from edge_gateway.people import hashed

FILE = "people.toml"
ROLES = ("operator", "quality", "manager", "officer")
MOST_PEOPLE, MOST_NAME, _MOST_BYTES = 100, 64, 256 * 1024
_HEADER = "# Written by `edge-gateway people`. Secrets stand here as scrypt hashes only.\n"


class PeopleFault(GatewayError):
    """``people.toml`` cannot be used as it is: mend it as the hint says."""


@dataclass(frozen=True, slots=True)
class Person:
    """``secret`` is the hash."""

    name: str
    role: str
    secret: str

    @property
    def mark(self) -> str:
        """What changes when the secret does."""
        return hashed.mark(self.secret)


def _of(body: object) -> Person:
    if not isinstance(body, Mapping) or set(body) != {"name", "role", "secret"}:
        raise ValueError("a person has name, role and secret")
    person = Person(*(str(body[key]) for key in ("name", "role", "secret")))
    check(person.name, person.role)
    if not hashed.sound(person.secret):
        raise ValueError(f"the secret of {person.name} is no scrypt hash")
    return person


def check(name: str, role: str) -> None:
    """Raises ValueError for what is no name or no role."""
    if not name.strip() or name != name.strip() or len(name) > MOST_NAME or not name.isprintable() or set(name) & set('"\\'):
        raise ValueError(f"a name is one line of at most {MOST_NAME} characters, without quotes and backslashes")
    if role not in ROLES:
        raise ValueError(f"'{role}' is no role: {', '.join(ROLES)}")


def permitted(people: Sequence[Person]) -> None:
    """Raises ValueError for too many, and for a name that stands twice."""
    if len(people) > MOST_PEOPLE or len({_key(each.name) for each in people}) != len(people):
        raise ValueError(f"at most {MOST_PEOPLE} people, each name once")


class People:
    """The people who may prove who they are. Reads the file anew when it has changed."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._seen: tuple[int, ...] | None = None
        self._people: dict[str, Person] = {}

    def all(self) -> Sequence[Person]:
        """Everybody, by name. Raises PeopleFault for a file that others may read or write, or that does not read."""
        self._read()
        return [self._people[name] for name in sorted(self._people)]

    def get(self, name: str) -> Person | None:
        """By name, without regard to case. Raises PeopleFault."""
        self._read()
        return self._people.get(_key(name))

    def write(self, people: Sequence[Person]) -> None:
        """These and nobody else; durable on return. Raises PeopleFault, ValueError."""
        permitted(people)
        text = _HEADER
        for each in people:
            check(each.name, each.role)
            text += f'\n[[person]]\nname = "{each.name}"\nrole = "{each.role}"\nsecret = "{each.secret}"\n'
        try:
            write_synced(self._path, text.encode())
        except OSError as error:
            raise PeopleFault(f"{self._path} cannot be written: {error.strerror}", hint="the state folder belongs to the service's user") from None
        self._seen = None

    def _read(self) -> None:
        try:
            with self._path.open("rb") as file:
                about = os.fstat(file.fileno())
                seen = (about.st_ino, about.st_mtime_ns, about.st_ctime_ns, about.st_size, about.st_mode, about.st_uid)
                if seen == self._seen:
                    return
                self._seen, self._people = None, {}
                self._check_rights(about)
                data = file.read(_MOST_BYTES + 1)
        except FileNotFoundError:
            self._seen, self._people = None, {}
            return
        except OSError as error:
            raise PeopleFault(f"{self._path} cannot be read: {error.strerror}", hint="it belongs to the service's user, mode 600") from None
        try:
            if len(data) > _MOST_BYTES:
                raise ValueError("it is too large")
            body = tomllib.loads(data.decode())
            rows = body.get("person", [])
            people = [_of(each) for each in (rows if isinstance(rows, list) else [rows])]
            if set(body) - {"person"} or len({_key(each.name) for each in people}) != len(people):
                raise ValueError("each person once, and nothing else")
        except ValueError as error:
            raise PeopleFault(f"{self._path} does not read: {error}", hint="put it aside, and `edge-gateway people add` everybody again") from None
        self._people = {_key(each.name): each for each in people}
        self._seen = seen

    def _check_rights(self, about: os.stat_result) -> None:
        if about.st_mode & 0o077:
            why = f"others than its owner may read or write {self._path}"
            raise PeopleFault(why, hint=f"chmod 600 {self._path}; new secrets for everybody in it")
        if about.st_uid not in (0, os.geteuid()):
            raise PeopleFault(f"{self._path} belongs to somebody else than the service", hint=f"chown {os.geteuid()} {self._path}")


def _key(name: str) -> str:
    return name.strip().casefold()
