"""Who may read the signer's key and write the journal: real users try, over the modes that systemd/ and the programs themselves set.

The users and groups are those of `systemd/sysusers.d`, under numbers of their own, with an operator (a member of the gateway's group) and a
web proxy besides. It needs root, which makes the folders as systemd would; whoever tries has a user of its own and no capability.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self

from tests.servers.process import REPOSITORY, wait_until

FIRST_ID = 61_000
CONFIG = (
    '[site]\nid = "g"\norigin = "example.org/g"\nname_zh = "站"\nname_en = "Site"\n[clock]\ntrust = "declared"\n[page]\nlisten = ""\n'
    '[journal]\nmax_bytes = "100MB"\ncommit_every_s = 0.1\n[signer]\nsocket = "{socket}"\n'
)
MAIN = "from edge_gateway.cli.main import main; main()"


@dataclass(frozen=True)
class Person:
    """A user of the operating system, and what else he belongs to."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...] = ()

    def process(self, umask: int) -> dict[str, Any]:
        """For ``subprocess``."""
        return {"user": self.uid, "group": self.gid, "extra_groups": self.groups, "umask": umask}

    def become(self) -> None:
        """In a child process only."""
        os.setgroups(self.groups)
        os.setgid(self.gid)
        os.setuid(self.uid)


def people() -> dict[str, Person]:
    """Those of sysusers.d, an operator and a web proxy."""
    text = (REPOSITORY / "systemd/sysusers.d/edge-gateway.conf").read_text()
    lines = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    names = sorted({word for line in lines for word in line[1:3] if re.fullmatch(r"[a-z-]{2,}", word)} | {"operator", "web-proxy"})
    ids = {name: FIRST_ID + number for number, name in enumerate(names)}
    groups = {name: ids[name] for name in names}
    for kind, name, about, *_ in lines:
        if kind == "u" and about.startswith("-:"):
            groups[name] = ids[about[2:]]
    member: dict[str, list[int]] = {name: [] for name in names}
    for _kind, name, group, *_ in (line for line in lines if line[0] == "m"):
        member[name].append(ids[group])
    member["operator"].append(ids["edge-gateway"])
    return {name: Person(name, ids[name], groups[name], tuple(member[name])) for name in names}


def unit(name: str) -> dict[str, str]:
    """``key: value`` of a unit's file; the last one counts."""
    text = (REPOSITORY / f"systemd/{name}.service").read_text()
    return dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE))


@cache
def interpreter(person: Person) -> str:
    """A Python that this user may run and that finds the program. Raises LookupError."""
    for python in (sys.executable, "/usr/bin/python3"):
        with contextlib.suppress(OSError):
            command = [python, "-c", "import edge_gateway.cli.run, apsw, cryptography"]
            tried = subprocess.run(command, env=_environment(), capture_output=True, check=False, **person.process(0o022))
            if tried.returncode == 0:
                return python
    raise LookupError("no Python that another user may run has what the gateway needs")


def _environment() -> dict[str, str]:
    site = next(path for path in sys.path if path.endswith("site-packages"))
    return {"PYTHONPATH": f"{REPOSITORY / 'src'}:{site}", "PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}


class Installed:
    """Signer and gateway running as their units say, under a folder that everybody may enter. ``loose``: a planted fault."""

    def __init__(self, *, loose: str = "") -> None:
        self.people = people()
        self.root = Path(tempfile.mkdtemp(prefix="rights-"))
        self.root.chmod(0o755)
        self._loose = loose
        self._running: list[subprocess.Popen[bytes]] = []
        self.state = self._folder("edge-gateway", "StateDirectory", "var")
        self.runtime = self._folder("edge-gateway", "RuntimeDirectory", "run")
        self.signer = self._folder("edge-gateway-signer", "StateDirectory", "var")
        self.signing = self._folder("edge-gateway-signer", "RuntimeDirectory", "run") / "sign.sock"

    def _folder(self, of: str, what: str, under: str) -> Path:
        about, owner = unit(of), self.people[unit(of)["User"]]
        path = self.root / under / about[what]
        path.parent.mkdir(exist_ok=True, mode=0o755)
        path.mkdir()
        path.chmod(0o777 if self._loose == "folder" and of == "edge-gateway" else int(about[f"{what}Mode"], 8))
        os.chown(path, owner.uid, owner.gid)
        return path

    def __enter__(self) -> Self:
        try:
            self._begin()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _begin(self) -> None:
        config = self.root / "gateway.toml"
        config.write_text(CONFIG.format(socket=self.signing))
        self._start("edge-gateway-signer", "signer", "run", "--folder", str(self.signer), "--listen", str(self.signing))
        wait_until(self.signing.is_socket, "the signer", 30.0)
        control = self.runtime / "control.sock"
        self._start("edge-gateway", "run", "--config", str(config), "--state", str(self.state), "--socket", str(control))
        wait_until(lambda: control.is_socket() and (self.state / "journal.sqlite").exists(), "the gateway", 30.0)
        if self._loose == "key":
            self.signer.chmod(0o755)
            self.key.chmod(0o644)

    def _start(self, name: str, *words: str) -> None:
        about = unit(name)
        person = self.people[about["User"]]
        umask = 0 if self._loose == "folder" else int(about["UMask"], 8)
        command = [interpreter(person), "-c", MAIN, *words]
        with (self.root / f"{name}.log").open("wb") as log:
            started = subprocess.Popen(command, env=_environment(), stdout=log, stderr=log, **person.process(umask))
        self._running.append(started)

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._running):
            process.terminate()
            process.wait(20)
        shutil.rmtree(self.root)

    @property
    def key(self) -> Path:
        """The signer's private key."""
        return next(path for path in self.signer.iterdir() if "key" in path.name)

    @property
    def signer_pid(self) -> int:
        return self._running[0].pid

    def journal(self) -> list[Path]:
        """All that the gateway keeps."""
        return [path for path in self.state.rglob("*") if path.is_file()]


def attempts(site: Installed) -> dict[str, Callable[[], object]]:
    """What somebody may try, by name; it worked when nothing is raised."""
    files, key, kept, fresh = site.journal(), site.key, list(site.signer.iterdir()), site.state / "fresh"
    return {
        "read the key": key.read_bytes,
        "read the signer's memory": lambda: os.close(os.open(f"/proc/{site.signer_pid}/mem", os.O_RDONLY)),
        "read what the signer keeps": lambda: [path.read_bytes() for path in kept],
        "replace the key": lambda: key.rename(key.with_name("fresh")).rename(key),
        "ask the signer": lambda: _connect(site.signing),
        "ask the gateway": lambda: _connect(site.runtime / "control.sock"),
        "read the journal": (site.state / "journal.sqlite").read_bytes,
        "write the journal": lambda: _any(files, lambda path: os.close(os.open(path, os.O_WRONLY | os.O_APPEND))),
        "add a file to the journal": lambda: (fresh.write_bytes(b""), fresh.unlink()),
        "remove a file of the journal": lambda: _any(files, lambda path: path.rename(path.with_name(path.name + ".x")).rename(path)),
        "open the journal to others": lambda: _any(files, lambda path: path.chmod(path.stat().st_mode)),
    }


def _any(paths: Sequence[Path], act: Callable[[Path], object]) -> None:
    """Raises OSError if it works on none of them."""
    failed = []
    for path in paths:
        try:
            act(path)
        except OSError as error:
            failed.append(error)
    if len(failed) == len(paths):
        raise failed[0]


def _connect(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(str(path))


def tried(site: Installed, person: Person) -> set[str]:
    """What this person can do, tried in a process of its own."""
    names = attempts(site)  # as root: it must know the files' names to try them
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        person.become()
        done = []
        for name, act in names.items():
            with contextlib.suppress(OSError, StopIteration):
                act()
                done.append(name)
        os.write(writing, json.dumps(done).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as file:
        found = set(json.load(file))
    os.waitpid(child, 0)
    return found


#: Who may do what. Nobody but the signer reads the key; nobody but the gateway writes the journal.
MAY = {
    "edge-gateway": {
        "ask the signer", "ask the gateway", "read the journal", "write the journal", "add a file to the journal",
        "remove a file of the journal", "open the journal to others",
    },
    "edge-gateway-signer": {"read the key", "read what the signer keeps", "replace the key", "ask the signer"},
    "operator": {"ask the gateway", "read the journal"},
    "regulator-hub": set(),
    "web-proxy": set(),
}  # fmt: skip


def differences(*, loose: str = "") -> dict[str, list[str]]:
    """Who can do more or less than he may: {} when all is as it should be. Raises LookupError where it cannot be tried."""
    found = {}
    with Installed(loose=loose) as site:
        for name, may in MAY.items():
            can = tried(site, site.people[name])
            if name == "edge-gateway-signer":
                can.discard("read the signer's memory")  # its own: the kernel's settings say
            if can != may:
                found[name] = sorted(can ^ may)
    return found
