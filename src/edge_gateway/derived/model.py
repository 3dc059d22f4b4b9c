"""What ``[derived.X]`` may say: which formula, of which points, with which constants; computes nothing."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from edge_gateway.profiles.model import TOTAL_QUANTITIES, Identifier

FlowUnit = Literal["m3/h", "m3/s", "L/min", "L/s"]


class _Derived(BaseModel):
    """What all of them have."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    of: tuple[Identifier, ...] = Field(
        min_length=1, max_length=32, description="the points that it is computed from; each reading of the first gives one of it"
    )
    zone: Identifier = Field(description="which of [zones] it is in")
    name_zh: str = Field(default="", max_length=128, description="what people read, in Chinese")
    name_en: str = Field(default="", max_length=128, description="what people read, in English")
    decimals: int | None = Field(default=None, ge=0, le=9, description="how many are shown; 2 by default")
    max_age_s: float | None = Field(
        default=None, gt=0, le=86_400, description="how old the others may be; three of their intervals by default"
    )
    renamed_from: Identifier | None = Field(default=None, description="the id that this point had before")


class FlumeConfig(_Derived):
    """Flow through a flume or weir from the level before it: Q = c · hⁿ, h in metres, Q in m³/s (then in ``unit``)."""

    kind: Literal["flume"]
    unit: FlowUnit = Field(default="m3/h", description="of the flow")
    c: float = Field(gt=0, le=1e6, description="from the flume's own sheet, for h in metres and Q in m³/s")
    n: float = Field(gt=0, le=5, description="from the flume's own sheet")
    zero_m: float = Field(default=0.0, ge=-100, le=100, description="what the level shows when no water flows (m)")
    most_m: float | None = Field(default=None, gt=0, le=100, description="the greatest h that the flume is made for (m)")


class SumConfig(_Derived):
    """A sum of quantities that add up: flows, volumes, energies, powers, currents, counts."""

    kind: Literal["sum"]


class DifferenceConfig(_Derived):
    """The first less the second, both in one unit."""

    kind: Literal["difference"]


class DegreeMinutesConfig(_Derived):
    """How far, times how long, a temperature is beyond a limit in the excursion under way (K·min)."""

    kind: Literal["degree-minutes"]
    limit_cel: float = Field(ge=-273.15, le=1000, description="the limit (°C)")
    side: Literal["above", "below"] = Field(default="above", description="which side of the limit counts")
    reset_after_s: float = Field(
        default=600.0, ge=0, le=86_400, description="how long it must be within the limit to begin anew at 0"
    )


class CounterConfig(_Derived):
    """A total from a counter that wraps, such as a 16-bit Modbus register of a water meter."""

    kind: Literal["counter"]
    modulus: Literal[65_536, 4_294_967_296] = Field(
        default=65_536, description="what the counter goes back to 0 at: 65536 of 16 bits, 4294967296 of 32"
    )
    unit: Literal["m3", "L", "kW.h", "W.h", "1"] = Field(description="of the total")
    per_count: float = Field(default=1.0, gt=0, le=1e6, description="how much a count is, in this unit")
    start: float = Field(default=0.0, ge=0, le=1e12, description="what the meter showed when the counting began")


DerivedConfig = Annotated[
    FlumeConfig | SumConfig | DifferenceConfig | DegreeMinutesConfig | CounterConfig, Field(discriminator="kind")
]

#: Quantities of which a sum says something.
ADDITIVE = frozenset({"flow", "volume", "energy", "power", "current", "count", "duration"})


def needs(config: DerivedConfig) -> tuple[int, int]:
    """(fewest, most) inputs."""
    match config.kind:
        case "sum":
            return 2, 32
        case "difference":
            return 2, 2
        case _:
            return 1, 1


def measures(config: DerivedConfig, inputs: tuple[tuple[str, str], ...]) -> tuple[str, str]:
    """(quantity, UCUM unit) of the result, given those of the inputs. Raises ValueError: inputs that do not suit, in words.

    A difference is a quantity of its own: three kelvins between two rooms are no temperature of a room, and no rule for rooms
    may judge them.
    """
    quantity, unit = inputs[0]
    match config.kind:
        case "flume":
            _suits(quantity == "level", f"a flume needs a level, not {quantity}")
            return "flow", config.unit
        case "sum":
            _suits(quantity in ADDITIVE, f"{quantity} does not add up")
            _suits(all(each == inputs[0] for each in inputs), "a sum needs one quantity in one unit")
            return quantity, unit
        case "difference":
            _suits(inputs[0] == inputs[1], "a difference needs one quantity in one unit")
            return "difference", "K" if unit == "Cel" else unit
        case "degree-minutes":
            _suits(unit == "Cel", f"degree-minutes need a temperature, not {quantity}")
            return "degree-minutes", "K.min"
        case "counter":
            _suits(quantity == "count", f"a counter's total needs a count, not {quantity}")
            return TOTAL_QUANTITIES[config.unit], config.unit


def _suits(holds: bool, why: str) -> None:
    if not holds:
        raise ValueError(why)
