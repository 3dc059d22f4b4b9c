"""What a file in rules/ may say: a pack's rules, their numbers, basis and words; reads no file."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from edge_gateway.rules.model_base import Basis, Identifier, Strict
from edge_gateway.rules.model_kinds import Rule


class Requirement(Strict):
    """What records must have before work begins (``start``: of a lot's intake) or before a lot leaves (``dispatch``). A site may add to it, never take away."""

    before: Literal["start", "dispatch"]
    of: tuple[Literal["certificate", "slip", "temperature", "photo"], ...] = Field(min_length=1)
    title_zh: str = Field(min_length=1)
    title_en: str = Field(min_length=1)
    basis: Basis


class RulePack(Strict):
    """A versioned set of rules. ``edition`` says when its facts were gathered; ``moved``: which of its rules went to another pack."""

    id: Identifier
    version: str = Field(pattern=r"^\d+\.\d+\.\d+$")
    edition: str = Field(pattern=r"^\d{4}-\d{2}$")
    name_zh: str = Field(min_length=1)
    name_en: str = Field(min_length=1)
    note_zh: str = ""
    note_en: str = ""
    #: rules that this pack had before, and the pack that has them now: a site that names only this one keeps them
    moved: dict[Identifier, Identifier] = Field(default_factory=dict)
    requires: tuple[Requirement, ...] = ()
    rule: tuple[Rule, ...]

    @model_validator(mode="after")
    def _unique(self) -> RulePack:
        if not self.rule:
            raise ValueError("a pack needs at least one [[rule]]")
        ids = [rule.id for rule in self.rule]
        for id_ in ids:
            if ids.count(id_) > 1:
                raise ValueError(f"two rules have the id '{id_}'")
            if id_ in self.moved:
                raise ValueError(f"moved says that '{id_}' is elsewhere, and here it is")
        for rule in self.rule:
            for name in rule.consequences.rules if rule.consequences else ():
                if "/" not in name and name not in ids:
                    raise ValueError(f"'{rule.id}' names '{name}' as a consequence, which this pack does not have: write pack/{name}")
        return self


def schema() -> dict[str, Any]:
    """The JSON Schema of a pack."""
    return RulePack.model_json_schema()
