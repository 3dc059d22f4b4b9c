"""The merged configuration as a flat list: every value with where it comes from; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from edge_gateway.config.files import KeyPath, Merged
from edge_gateway.config.model import GatewayConfig

#: What stands for the origin of a value that no file gives.
DEFAULT = "default"


def effective(config: GatewayConfig, merged: Merged) -> Iterator[tuple[KeyPath, Any, str]]:
    """(path, value, origin) of every key in force, in the order of the tables; values as the files have them."""
    for path, value in _leaves(config.model_dump(mode="json"), ()):
        origin = merged.origins.get(path)
        if origin is not None:
            yield path, _written(merged.data, path), str(origin)
        elif value not in (None, ""):
            yield path, value, DEFAULT


def _leaves(table: Mapping[str, Any], path: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*path, key))
        else:
            yield (*path, key), value


def _written(data: Any, path: KeyPath) -> Any:
    for key in path:
        data = data[key]
    return data
