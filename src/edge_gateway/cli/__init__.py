"""The command line: verbs for people; stdout is the result, stderr the talk. Each verb is loaded when it is used."""

from __future__ import annotations

from edge_gateway.cli.main import main

__all__ = ["main"]
