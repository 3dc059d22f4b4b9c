"""Words to systemd (sd_notify): READY, STATUS, WATCHDOG, STOPPING; knows nothing of what they are about."""

from __future__ import annotations

import os
import socket


def notify(state: str) -> bool:
    """Send ``state`` (lines of ``KEY=value``) to the service manager; False when there is none or it does not listen."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.connect(address)
            sock.send(state.encode())
    except OSError:
        return False  # a manager that does not listen is no reason to stop
    return True
