"""Which user of the operating system this process works for; knows nothing of what it does."""

from __future__ import annotations

import os
import pwd


def who() -> str:
    """The user's name; behind sudo the one who asked too."""
    uid = os.getuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = f"uid-{uid}"
    asked = os.environ.get("SUDO_USER", "")
    return f"{name} (sudo: {asked})" if asked and asked != name else name
