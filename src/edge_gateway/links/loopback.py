"""Whether an address is this machine's own; looks no name up and opens nothing."""

from __future__ import annotations

from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """True for a loopback address, in brackets or not, and for ``localhost``; every other name may be another machine's."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
