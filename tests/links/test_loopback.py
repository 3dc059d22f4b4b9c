"""This machine and every other: a mistake here opens a door, or sends a token in the clear."""

from __future__ import annotations

import pytest

from edge_gateway.links.loopback import is_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost"])
def test_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "0.0.0.0", "::", "[::]", "10.0.0.5", "localhost.example.org", "hub", "127.0.0.1.example.org"])
def test_every_other_and_all_interfaces(host: str) -> None:
    assert not is_loopback(host)
