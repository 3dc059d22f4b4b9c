"""Holds the table of floors and fails for an upward import, a cycle, or a module without a floor.

A module of `edge_gateway` imports from lower floors or from its own package; on floors 0 and 1, which are contracts, also
from its own floor. Every import counts, also one inside a function or under TYPE_CHECKING. `regulator_hub` sees floors 0 to 2.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src"
GATEWAY, HUB = "edge_gateway", "regulator_hub"

# Module prefix -> floor; the longest prefix wins. A new module needs a line here, and a reason to stand where it stands.
FLOORS: Mapping[str, int] = {
    "errors": 0,
    "reading": 0,
    "clock": 0,
    "backoff": 0,
    "loading": 0,  # both programs load their own modules with it
    "units": 0,
    "record": 0,
    "toml_errors": 0,  # sentences about faulty TOML, shared by configuration, profiles and packs
    "toml_lines": 0,
    "events": 1,
    "profiles.model": 1,
    "profiles.messages": 1,  # what profiles.model says of messages
    "profiles.registers": 1,  # what profiles.model says of registers
    "rules.base": 1,  # a bound rule and its step: the contract between rules and violations
    "rules.area": 1,  # exact sums that rules begin and violations go on with
    "rules.model": 1,
    "rules.model_base": 1,
    "rules.model_kinds": 1,
    "wire": 1,
    "sources.base": 1,
    "journal.base": 1,
    "sinks.base": 1,
    "signer.base": 1,
    "profiles": 2,
    "rules": 2,
    "violations": 2,
    "commands": 2,
    "traceability": 2,  # lots and their records: a decision core like violations
    "derived": 2,  # formulas over readings: a decision core like rules
    "phases": 2,
    "marks": 2,
    "calibration": 2,  # a decision core beside marks: what a probe showed against its reference
    "links": 2,
    "web": 2,
    "telemetry": 3,
    "sources": 3,
    "journal": 3,
    "signer": 3,
    "people": 3,  # names, roles and hashes of secrets, and whether one fits
    "sinks": 3,
    "testing": 3,
    "provision": 4,  # above the sources: none of them can reach what writes
    "intake": 4,
    "recompute": 5,  # values and outcomes anew from a record at rest: above every part that makes some
    "shipping": 4,
    "history": 4,
    "evidence": 5,  # reads the record as history does, and stands beside the page
    "page": 5,
    "config": 6,
    "app": 7,
    "cli": 8,
    "demo": 8,
}
HIGHEST_CONTRACT_FLOOR = 1
HIGHEST_FLOOR_FOR_THE_HUB = 2

# Each outside thing is known in one place: library -> the only prefixes that may import it.
HOMES: Mapping[str, tuple[str, ...]] = {
    "pymodbus": ("edge_gateway.links", "edge_gateway.demo"),
    "serial": ("edge_gateway.links", "edge_gateway.demo"),
    "paho": ("edge_gateway.links", "edge_gateway.demo"),
    "influxdb_client": ("edge_gateway.sinks.influxdb", "edge_gateway.sinks.influxdb_v2"),
    "amqtt": ("edge_gateway.demo",),
    "aiomqtt": ("edge_gateway.demo",),
}

# What decides is pure: no I/O, no clock, no log.
PURE = ("traceability", "record", "wire", "rules.engine", "rules.area", "rules.track", "rules.kinds", "rules.measure", "rules.windows", "rules.exposure", "rules.aggregate", "rules.calendar", "rules.conditions", "rules.courses", "rules.plan", "rules.arming", "rules.same", "rules.bind", "rules.bind_kinds", "violations", "commands", "phases", "marks", "reading", "units")
IMPURE = {"asyncio", "logging", "socket", "subprocess", "threading", "time", "aiohttp", "apsw", "paho", "pymodbus"}


@dataclass(frozen=True)
class Module:
    """One source file: its dotted name, and every module that it imports with the line."""

    name: str
    path: Path
    is_package: bool
    imports: tuple[tuple[str, int], ...]
    says: bool = True  # whether it opens with a sentence


def read_modules(source: Path) -> dict[str, Module]:
    """Every module below a source folder, by name."""
    paths: dict[str, Path] = {}
    for path in sorted(source.rglob("*.py")):
        parts = path.relative_to(source).with_suffix("").parts
        paths[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    modules, known = {}, set(paths)
    for name, path in paths.items():
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
        is_package = path.name == "__init__.py"
        package = name if is_package else name.rpartition(".")[0]
        modules[name] = Module(name, path, is_package, tuple(_imports(tree, package, known)), bool(ast.get_docstring(tree)))
    return modules


def _imports(tree: ast.Module, package: str, known: set[str]) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            for alias in node.names:
                member = f"{base}.{alias.name}"
                yield (member if member in known else base), node.lineno


def floor_of(name: str, modules: Mapping[str, Module], floors: Mapping[str, int] = FLOORS) -> int | None:
    """The floor of a module of the gateway, None if the table has none.

    The `__init__` of a package that spans floors runs whenever one of its modules is imported: it has the lowest of them.
    """
    inside = name.removeprefix(GATEWAY).removeprefix(".")
    if not inside:
        return 0
    matching = [prefix for prefix in floors if inside == prefix or inside.startswith(prefix + ".")]
    if modules[name].is_package:
        below = [floors[prefix] for prefix in floors if prefix.startswith(inside + ".")]
        own = [floors[max(matching, key=len)]] if matching else []
        return min(below + own, default=None)
    return floors[max(matching, key=len)] if matching else None


def faults(modules: Mapping[str, Module], floors: Mapping[str, int] = FLOORS) -> list[str]:
    """Every breach of the rules as a sentence, empty for a sound house."""
    found = [
        f"{name}: has no floor; give it a line in the table of {Path(__file__).name}"
        for name in modules
        if name.partition(".")[0] == GATEWAY and floor_of(name, modules, floors) is None
    ]
    for module in modules.values():
        for target, line in module.imports:
            if reason := _forbidden(module.name, target, modules, floors):
                found.append(f"{module.path}:{line}: {module.name} imports {target}: {reason}")
    return found + [f"cycle: {' -> '.join(cycle)}" for cycle in cycles(modules)]


def _forbidden(name: str, target: str, modules: Mapping[str, Module], floors: Mapping[str, int]) -> str:
    """Why this import may not be, or an empty string."""
    home, abroad = name.partition(".")[0], target.partition(".")[0]
    if abroad not in (GATEWAY, HUB):
        return ""
    if target not in modules:
        return "no such module"
    if home == GATEWAY and abroad == HUB:
        return "the gateway knows nothing of the hub's code"
    if abroad == HUB:
        return ""
    target_floor = floor_of(target, modules, floors)
    if target_floor is None:
        return ""  # reported once, for the module itself
    if home == HUB:
        return f"floor {target_floor} is out of the hub's sight" if target_floor > HIGHEST_FLOOR_FOR_THE_HUB else ""
    own_floor = floor_of(name, modules, floors)
    if own_floor is None or target_floor < own_floor:
        return ""
    if target_floor > own_floor:
        return f"upward, from floor {own_floor} to floor {target_floor}"
    same_package = name.split(".")[1:2] == target.split(".")[1:2]
    if same_package or own_floor <= HIGHEST_CONTRACT_FLOOR:
        return ""
    return f"sideways on floor {own_floor}, into another package"


def cycles(modules: Mapping[str, Module]) -> list[list[str]]:
    """Import cycles, each once, as the names along it with the first repeated at the end."""
    found: list[list[str]] = []
    done: set[str] = set()

    def walk(name: str, trail: list[str]) -> None:
        if name in trail:
            found.append([*trail[trail.index(name) :], name])
            return
        if name in done:
            return
        for target, _ in modules[name].imports:
            if target in modules and target != name:
                walk(target, [*trail, name])
        done.add(name)

    for name in modules:
        walk(name, [])
    return found


def strangers(modules: Mapping[str, Module]) -> list[str]:
    """Imports of an outside library away from its home, or of anything impure in what decides."""
    found = []
    for module in modules.values():
        inside = module.name.removeprefix(GATEWAY + ".")
        pure = any(inside == prefix or inside.startswith(prefix + ".") for prefix in PURE)
        for target, line in module.imports:
            library = target.partition(".")[0]
            homes = HOMES.get(library, (module.name,))
            if not any(module.name == home or module.name.startswith(home + ".") for home in homes):
                found.append(f"{module.path}:{line}: {library} is known only in {', '.join(homes)}")
            if pure and library in IMPURE:
                found.append(f"{module.path}:{line}: {module.name} decides and is pure, but imports {library}")
    return found


@cache
def house() -> Mapping[str, Module]:
    """Our own sources."""
    return read_modules(SOURCE)


# -- the house itself --------------------------------------------------------------------------------------------------


def test_every_module_has_a_floor_and_imports_only_downward() -> None:
    modules = house()
    assert GATEWAY in modules, "nothing was read"
    assert HUB in modules, "nothing was read"
    assert not faults(modules), "\n" + "\n".join(faults(modules))


def test_each_outside_thing_is_known_in_one_place_and_what_decides_is_pure() -> None:
    found = strangers(house())
    assert not found, "\n" + "\n".join(found)


def test_every_module_opens_with_a_sentence() -> None:
    silent = [str(module.path) for module in house().values() if not module.says]
    assert not silent, f"no opening sentence in {silent}"


# -- planted faults: the checks above must catch each ------------------------------------------------------------------

SOUND = {
    "edge_gateway/__init__.py": "",
    "edge_gateway/errors.py": "",
    "edge_gateway/reading.py": "from edge_gateway import errors",
    "edge_gateway/sources/__init__.py": "",
    "edge_gateway/sources/base.py": "from edge_gateway.reading import Item",
    "edge_gateway/sources/modbus/__init__.py": "",
    "edge_gateway/sources/modbus/poll.py": "from .plan import plan\nfrom ..base import Source",
    "edge_gateway/sources/modbus/plan.py": "import edge_gateway.errors",
    "edge_gateway/intake/__init__.py": "",
    "edge_gateway/intake/loop.py": "from edge_gateway.sources import base",
    "edge_gateway/shipping.py": "from edge_gateway.reading import Item",
    "edge_gateway/violations.py": "",
    "regulator_hub/__init__.py": "",
    "regulator_hub/ingest.py": "from edge_gateway.violations import Violations",
}

PLANTED = {
    "upward": (
        "edge_gateway/sources/base.py",
        "from edge_gateway.intake import loop",
        "upward, from floor 1 to floor 4",
    ),
    "upward in a function": (
        "edge_gateway/errors.py",
        "def late():\n    from edge_gateway.reading import Item\n    from edge_gateway.shipping import ship",
        "upward, from floor 0 to floor 4",
    ),
    "upward under TYPE_CHECKING": (
        "edge_gateway/reading.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from edge_gateway.violations import Violations",
        "upward, from floor 0 to floor 2",
    ),
    "upward and relative": ("edge_gateway/sources/base.py", "from ..intake.loop import run", "upward"),
    "upward through a package": (
        "edge_gateway/sources/__init__.py",
        "from edge_gateway.sources.modbus import poll",
        "upward, from floor 1 to floor 3",
    ),
    "sideways": ("edge_gateway/intake/loop.py", "import edge_gateway.shipping", "sideways on floor 4"),
    "cycle": ("edge_gateway/sources/modbus/plan.py", "from edge_gateway.sources.modbus.poll import poll", "cycle: "),
    "cycle on one floor": ("edge_gateway/errors.py", "from edge_gateway.reading import Item", "cycle: "),
    "no floor": ("edge_gateway/helpers.py", "", "edge_gateway.helpers: has no floor"),
    "no floor for a package": ("edge_gateway/utils/__init__.py", "", "edge_gateway.utils: has no floor"),
    "no such module": ("edge_gateway/intake/loop.py", "import edge_gateway.sources.bsae", "no such module"),
    "gateway knows the hub": ("edge_gateway/shipping.py", "from regulator_hub import ingest", "nothing of the hub"),
    "hub looks too high": ("regulator_hub/ingest.py", "import edge_gateway.intake.loop", "out of the hub's sight"),
}


def _plant(folder: Path, files: Mapping[str, str]) -> dict[str, Module]:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return read_modules(folder)


def test_a_sound_tree_passes(tmp_path: Path) -> None:
    assert faults(_plant(tmp_path, SOUND)) == []


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found(tmp_path: Path, fault: str) -> None:
    path, text, expected = PLANTED[fault]
    found = faults(_plant(tmp_path, {**SOUND, path: text}))
    assert any(expected in sentence for sentence in found), found


def test_a_planted_stranger_is_found(tmp_path: Path) -> None:
    planted = {"edge_gateway/intake/loop.py": "import pymodbus.client", "edge_gateway/violations.py": "import time"}
    found = strangers(_plant(tmp_path, {**SOUND, **planted}))
    assert len(found) == 2
    assert "pymodbus is known only in" in found[0] + found[1]
    assert "violations decides and is pure" in found[0] + found[1]


def test_the_longest_prefix_wins(tmp_path: Path) -> None:
    modules = _plant(tmp_path, SOUND)
    assert floor_of("edge_gateway.sources.base", modules) == 1
    assert floor_of("edge_gateway.sources.modbus.poll", modules) == 3
    assert floor_of("edge_gateway.sources", modules) == 1, "a package runs before its lowest module"
