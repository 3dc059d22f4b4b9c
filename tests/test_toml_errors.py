"""What is wrong with a TOML file, in words: line, key, reason, hint."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from edge_gateway.errors import ConfigError
from edge_gateway.toml_errors import did_you_mean, dotted, explain, parse
from edge_gateway.toml_lines import lines


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tcp(Strict):
    kind: Literal["tcp"]
    host: str
    port: int = Field(default=502, ge=1, le=65535)


class Rtu(Strict):
    kind: Literal["rtu"]
    port: str
    parity: Literal["N", "E", "O"] = "N"
    retry: bool = False


class Root(Strict):
    buses: dict[Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")], Annotated[Tcp | Rtu, Field(discriminator="kind")]]
    limits: tuple[float, ...] = ()
    password: int | None = None
    many: tuple[Tcp, ...] = ()


def faults(text: str) -> list[ConfigError]:
    with pytest.raises(ValidationError) as caught:
        Root.model_validate(parse(text, "x.toml"))
    return explain(caught.value, Root, lines(text), "x.toml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[buses.a]\nkind = "tcp"\nhots = "h"\nhost = "h"', "x.toml:3:buses.a.hots: unknown key 'hots': did you mean 'host'?"),
        ('[buses.a]\nkind = "tcp"', "x.toml:1:buses.a.host: key 'host' is missing: add host = …"),
        ('[buses.a]\nkind = "tpc"', 'x.toml:2:buses.a.kind: must be one of tcp, rtu, not "tpc": did you mean \'tcp\'?'),
        ('[buses.a]\nhost = "h"', "x.toml:1:buses.a: key 'kind' is missing: add kind = …"),
        (
            '[buses.a]\nkind = "tcp"\nhost = "h"\nport = "502 "',
            None,
        ),
        ('[buses.a]\nkind = "tcp"\nhost = "h"\nport = "x"', 'x.toml:4:buses.a.port: must be a whole number, not "x": write the number without quotes and without a unit'),
        ('[buses.a]\nkind = "tcp"\nhost = "h"\nport = 70000', "x.toml:4:buses.a.port: must be at most 65535, not 70000: between 1 and 65535"),
        ('[buses.a]\nkind = "tcp"\nhost = 5', 'x.toml:3:buses.a.host: must be a text in quotes, not 5: put it in quotes: "5"'),
        ('[buses.a]\nkind = "rtu"\nport = "p"\nparity = "X"', 'x.toml:4:buses.a.parity: must be one of N, E, O, not "X": write one of these'),
        ('[buses.a]\nkind = "rtu"\nport = "p"\nretry = "maybe"', 'x.toml:4:buses.a.retry: must be true or false, not "maybe": write true or false, without quotes'),
        ("[buses.A_B]\nkind = 'rtu'\nport = 'p'", 'x.toml:1:buses.A_B: "A_B" is not permitted: it must match ^[a-z0-9-]{1,32}$'),
        ("limits = [1.0,\n 'x']\n[buses]", 'x.toml:2:limits[1]: must be a number, not "x": write the number without quotes and without a unit'),
        ('password = "hunter2"\n[buses]', "x.toml:1:password: must be a whole number, not what stands there: write the number without quotes and without a unit"),
        ('[buses]\n[[many]]\nkind = "tcp"\nhost = "a"\n[[many]]\nkind = "tcp"\nhost = "b"\nprot = 1', "x.toml:8:many[1].prot: unknown key 'prot': did you mean 'port'?"),
        ('bus = 3\n[buses]', "x.toml:1:bus: unknown key 'bus': did you mean 'buses'?"),
    ],
)  # fmt: skip
def test_says_where_why_and_what_to_do(text: str, said: str | None) -> None:
    if said is None:
        Root.model_validate(parse(text, "x.toml"))
        return
    assert [str(e) for e in faults(text)] == [said]


def test_all_faults_in_the_order_of_the_lines() -> None:
    found = faults('[buses.b]\nkind = "tcp"\nx = 1\n[buses.a]\nkind = "rtu"\ny = 1\nport = "p"')
    assert [(e.line, e.code) for e in found] == [(1, "missing-key"), (3, "unknown-key"), (6, "unknown-key")]


def test_a_secret_is_never_shown() -> None:
    assert all("hunter2" not in str(e) for e in faults('pasword = "hunter2"\npassword = "hunter2"\n[buses]'))


@pytest.mark.parametrize(("text", "line"), [("a = 1\nb = \n", 2), ('a = "x', 1), ("[t\n", 1), ("a = 1\na = 2", 2)])
def test_syntax_has_a_line(text: str, line: int) -> None:
    with pytest.raises(ConfigError, match="not TOML") as caught:
        parse(text, "x.toml")
    assert (caught.value.line, caught.value.code) == (line, "syntax")


def test_a_part_of_a_file_has_its_prefix() -> None:
    text = '[x]\n[x.t]\nkind = "tcp"\nhost = "h"\nprt = 1'
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Tcp).validate_python(parse(text, "f")["x"]["t"])
    (error,) = explain(caught.value, Tcp, lines(text), "f", prefix=("x", "t"))
    assert (error.line, error.key, error.hint) == (5, "x.t.prt", "did you mean 'port'?")


def test_hints_and_names() -> None:
    assert did_you_mean("regsiter", ["register", "order"]) == "did you mean 'register'?"
    assert did_you_mean("interval-s", ["interval_s"]) == "did you mean 'interval_s'?"
    assert did_you_mean("zzz", ["b", "a"]) == "known here: a, b"
    assert dotted(("a", 0, "b")) == "a[0].b"
