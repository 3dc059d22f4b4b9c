"""``drivers test``: every profile against its cases; knows no device and asks none."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_gateway.cli.junit import document
from edge_gateway.cli.main import NO, OK
from edge_gateway.cli.verbs import Context, option, picked, verb
from edge_gateway.errors import ConfigError

if TYPE_CHECKING:
    from edge_gateway.profiles.cases import Case


@dataclass(slots=True)
class Tried:
    """One profile's trial: what is wrong with its files, and what each case found."""

    id: str
    file: Path
    faults: list[str] = field(default_factory=list)
    cases: list[tuple[Case, list[str]]] = field(default_factory=list)

    @property
    def wrong(self) -> int:
        """Faults of the files, and cases that found something."""
        return len(self.faults) + sum(bool(found) for _, found in self.cases)


@verb(
    "test",
    zh="用设备档案自带的用例检验档案（全部，或指明的）：设备发出的字节或消息，须得出写明的读数。有错则退出码为 1。",
    examples=[
        "edge-gateway drivers test",
        "edge-gateway drivers test generic/xy-md02 acme/th200",
        "edge-gateway drivers test --format junit > drivers.xml",
    ],
)
@click.argument("profiles", nargs=-1, metavar="[PROFILE]...")
@option("--format", "form", type=click.Choice(["text", "json", "junit"]), default="text", help="how it is said", zh="输出格式")
@click.pass_obj
def command(ctx: Context, profiles: tuple[str, ...], form: str) -> int:
    """Try device profiles against their cases (all profiles, or those named): what a device sends, and the readings that must come of it.

    Exit code 1 when anything comes out differently, a file is faulty, or a channel has no case.
    """
    tried = [trial(id_, file) for id_, file in chosen(ctx, profiles).items()]
    if form == "json":
        click.echo(json.dumps(_json(tried), ensure_ascii=False))
    elif form == "junit":
        click.echo(_junit(tried))
    else:
        for line in _lines(ctx, tried):
            click.echo(line)
    return NO if any(each.wrong for each in tried) else OK


def chosen(ctx: Context, wanted: Sequence[str]) -> dict[str, Path]:
    """The profiles named, or all along the search path (the folder beside the configuration first). Raises ConfigError."""
    from edge_gateway.profiles.load import available

    return picked(available([ctx.config.parent / "drivers"]), wanted, "device profile", "unknown-profile")


def trial(id_: str, file: Path) -> Tried:
    """Try one profile file."""
    from edge_gateway.profiles.cases import faults
    from edge_gateway.profiles.load import read, read_cases

    found = Tried(id_, file)
    loaded, errors = read(file)
    cases, more = read_cases(file)
    found.faults += [str(error) for error in (*errors, *more)]
    if loaded is None:
        return found
    if loaded.profile.id != id_:
        found.faults.append(f"{file}: its id is '{loaded.profile.id}', its place says '{id_}'")
    for case in cases:
        try:
            found.cases.append((case, faults(loaded.profile, case)))
        except (ValueError, ConfigError) as error:  # the case does not have the bytes, or a channel that is none
            found.cases.append((case, [f"{id_}, case '{case.name}': {error}"]))
    untried = set(loaded.profile.channels) - {channel for case in cases for channel in case.expect}
    if cases and untried:
        found.faults.append(f"{file}: no case for {', '.join(sorted(untried))}")
    return found


def _totals(tried: Sequence[Tried]) -> dict[str, int]:
    kinds = Counter(case.kind for each in tried for case, _ in each.cases)
    return {
        "profiles": len(tried),
        "cases": sum(len(each.cases) for each in tried),
        "captured": kinds["captured"],
        "with_captured": sum(any(case.kind == "captured" for case, _ in each.cases) for each in tried),
        "faults": sum(each.wrong for each in tried),
    }


def _lines(ctx: Context, tried: Sequence[Tried]) -> Iterator[str]:
    for each in tried:
        for fault in each.faults:
            yield f"{ctx.say('FAULT', '错误')}  {fault}"
        for _, found in each.cases:
            for fault in found:
                yield f"{ctx.say('FAULT', '错误')}  {fault}"
    total = _totals(tried)
    yield ctx.say(
        f"{total['profiles']} profiles, {total['cases']} cases ({total['captured']} captured, in {total['with_captured']} profiles): "
        f"{total['faults']} faults",
        f"{total['profiles']} 个档案，{total['cases']} 个用例（其中实录 {total['captured']} 个，分属 {total['with_captured']} 个档案）：{total['faults']} 处错误",
    )


def _json(tried: Sequence[Tried]) -> dict[str, Any]:
    profiles = [
        {
            "id": each.id,
            "file": str(each.file),
            "faults": each.faults,
            "cases": [{"name": case.name, "kind": case.kind, "faults": found} for case, found in each.cases],
        }
        for each in tried
    ]
    return {"schema": "edge-gateway/drivers-test/1", **_totals(tried), "results": profiles}


def _junit(tried: Sequence[Tried]) -> str:
    """A suite a profile, a test a case; a file's own faults are a test called "files"."""
    return document("drivers", [(each.id, [("files", each.faults), *((case.name, found) for case, found in each.cases)]) for each in tried])
