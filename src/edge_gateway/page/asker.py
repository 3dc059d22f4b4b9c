"""Who asks at the control socket, by the kernel's word; knows nothing of what is asked."""

from __future__ import annotations

from starlette.requests import Request


def asker(request: Request) -> tuple[str, int]:
    """The peer's OS user and uid, as ``PeerProtocol`` has them."""
    return (request.client.host, request.client.port) if request.client else ("unknown", -1)


def user(request: Request) -> str:
    """The peer's OS user."""
    return asker(request)[0]
