"""Writes what a person takes out of the inbox into the state folder's gateway.d/, once the whole configuration is sound with it."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge_gateway.config.adopt import Wish, profile_for, tables, text
from edge_gateway.config.load import load
from edge_gateway.errors import GatewayError
from edge_gateway.links.synced import write_synced
from edge_gateway.profiles.load import load as load_profile

_NAME = re.compile(r"^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$")
#: What ``Wish`` knows of, and the type of each.
_KEYS = {"prefix": str, "zone": str, "kind": str, "stage": str, "profile": str, "select": str, "interval_s": float}


def wish_of(body: Mapping[str, Any]) -> Wish:
    """A request's keys as a Wish. Raises GatewayError."""
    try:
        keys = {key: kind(body[key]) for key, kind in _KEYS.items() if body.get(key)}
        wish = Wish(**keys, channels=tuple(str(name) for name in body.get("channels") or ()))
    except (TypeError, ValueError) as error:
        raise GatewayError(f"cannot be understood: {error}") from error
    if not _NAME.match(wish.prefix):
        raise GatewayError(f"'{wish.prefix}' is no name", hint="use a-z, 0-9 and '-', 1 to 32 characters")
    if wish.zone and not _NAME.match(wish.zone):
        raise GatewayError(f"'{wish.zone}' is no name of a zone", hint="use a-z, 0-9 and '-', 1 to 32 characters")
    return wish


def adopt(main: Path, state_dir: Path, found: Mapping[str, Any], wish: Wish, remark: str) -> tuple[Path, dict[str, Any]]:
    """Write the file; answers it and its tables. Raises GatewayError, ConfigRefused: then nothing was written."""
    loaded = load(main, state_dir, running=False)
    profile = load_profile(profile_for(found, wish), [main.parent / "drivers"]).profile
    added = tables(found, wish, profile, loaded.config)
    folder = state_dir / "gateway.d"
    file = folder / f"inbox-{wish.prefix}.toml"
    if file.exists():
        raise GatewayError(f"{file} exists", hint="choose another name with --as")
    body = text(added, (remark, "Delete this file to undo it; what stands here wins over gateway.toml."))
    sound(main, folder, file.name, body)
    place(folder, file, body)
    return file, added


def sound(main: Path, folder: Path, name: str, body: str) -> None:
    """Load the whole configuration with the new file beside the others, elsewhere. Raises ConfigRefused."""
    with tempfile.TemporaryDirectory() as trial:
        beside = Path(trial) / "gateway.d"
        if folder.is_dir():
            shutil.copytree(folder, beside)
        else:
            beside.mkdir()
        (beside / name).write_text(body, encoding="utf-8")
        load(main, Path(trial), running=False)


def place(folder: Path, file: Path, body: str) -> None:
    """Write a file into ``folder``, durable on return. Raises GatewayError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_synced(file, body.encode(), _put, mode=0o666, ending=".new")  # the record will say that it is there
    except OSError as error:
        raise GatewayError(f"{file} cannot be written: {error.strerror}", hint="the state folder must be writable") from error


def _put(fresh: Path, file: Path) -> None:
    """What root writes into the service's folder belongs to the service."""
    if os.geteuid() == 0:
        owner = file.parent.parent.stat()
        for path in (file.parent, fresh):
            os.chown(path, owner.st_uid, owner.st_gid)
    fresh.rename(file)
