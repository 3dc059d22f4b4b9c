"""mosquitto, the broker that gateways meet in the field; by default with its own defaults, so it forgets on a kill."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.servers.certificates import TlsFiles
from tests.servers.process import ServerProcess, accepts_tcp, find_program, free_port


@dataclass(frozen=True)
class MosquittoSettings:
    """What a test wants of the broker.

    `persistence`: state survives kill -9 up to the last autosave (each second); without it the broker loses all it has.
    `users`: name -> password; empty means anonymous. `acl`: the text of mosquitto's acl_file.
    `tls`: listens with TLS; `require_certificate` makes a client's certificate its user name.
    `extra`: lines for mosquitto.conf as they are.
    """

    persistence: bool = False
    users: Mapping[str, str] = field(default_factory=dict)
    acl: str = ""
    tls: TlsFiles | None = None
    require_certificate: bool = False
    extra: tuple[str, ...] = ()


class Mosquitto(ServerProcess):
    """One broker on 127.0.0.1:`port`; `restart` keeps port and folder."""

    def __init__(self, folder: Path, settings: MosquittoSettings | None = None, port: int | None = None) -> None:
        program = find_program("mosquitto")
        folder.mkdir(parents=True, exist_ok=True)
        self.port = port or free_port()
        config = folder / "mosquitto.conf"
        config.write_text("\n".join(_config(folder, self.port, settings or MosquittoSettings())) + "\n")
        super().__init__("mosquitto", [program, "-c", str(config)], folder, lambda: accepts_tcp(self.port))


def _config(folder: Path, port: int, settings: MosquittoSettings) -> list[str]:
    lines = [
        "per_listener_settings false",
        "user root",  # otherwise it drops to the user mosquitto, who may not enter a test's folder; no effect for non-root
        f"listener {port} 127.0.0.1",
        "log_type all",
    ]
    if settings.persistence:
        state = folder / "state"
        state.mkdir(exist_ok=True)
        lines += ["persistence true", f"persistence_location {state}/", "autosave_interval 1"]
    if settings.users:
        passwords = folder / "passwords"
        passwords.write_text("".join(f"{name}:{password}\n" for name, password in settings.users.items()))
        passwords.chmod(0o600)
        subprocess.run([find_program("mosquitto_passwd"), "-U", str(passwords)], check=True, capture_output=True)
        lines += ["allow_anonymous false", f"password_file {passwords}"]
    else:
        lines.append("allow_anonymous true")
    if settings.acl:
        acl = folder / "acl"
        acl.write_text(settings.acl)
        acl.chmod(0o600)
        lines.append(f"acl_file {acl}")
    if settings.tls is not None:
        lines += [
            f"cafile {settings.tls.ca_file}",
            f"certfile {settings.tls.certificate_file}",
            f"keyfile {settings.tls.key_file}",
        ]
        if settings.require_certificate:
            lines += ["require_certificate true", "use_identity_as_username true"]
    return [*lines, *settings.extra]
