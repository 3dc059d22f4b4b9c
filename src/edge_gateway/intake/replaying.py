"""Entries onto state, one by one, exactly as intake left it; knows no journal: whoever has the configurations' texts hands them over.

A restart goes this way, and so do those who judge a record anew. The rules' own steps are answered, and not taken:
they stand in the record as entries of their own, which ``violation`` takes over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_gateway.intake.late import judge
from edge_gateway.intake.state import State
from edge_gateway.record import entry
from edge_gateway.rules.base import BoundRule, Step, each_rule
from edge_gateway.sources.mqtt_ledger import replay as replay_message

#: The event of ``intake.adopting``.
ADOPTED = "violations-adopted"
#: The event of ``intake.recalling``. With a ``state`` (resolved, where it is a text) it takes the place of what was known.
RECALLED = "state-recalled"


class Misfit(Exception):
    """A batch that its configuration does not fit: (columns in the entry, columns of its group; None: no such group)."""


class Replaying:
    """``restore`` a snapshot, ``use`` each configuration, ``take`` each entry, in the order of the record."""

    def __init__(self, state: State, epoch: str) -> None:
        self.state, self.epoch = state, epoch
        #: config_seq -> the points of each group: a batch may have been on its way when another came into force
        self.groups: dict[int, dict[str, Any]] = {}
        #: the rules as they were last described, and bound: most starts write down again what was in force before
        self._bound: tuple[object, list[BoundRule]] = ((), [])

    def use(self, config_seq: int, resolved: dict[str, Any] | None) -> None:
        """A configuration comes into force; None: its text does not read, and nothing can be judged until the next."""
        self.state.resolved = resolved or {}
        if resolved is None:
            return
        self.groups[config_seq] = resolved.get("groups", {})
        self.state.derivation.use(resolved)
        self.state.workday.use(resolved)
        document = resolved.get("rules", [])
        if document != self._bound[0]:
            self._bound = document, [BoundRule.from_config(rule) for rule in each_rule(document)]
        self.state.use_rules(self._bound[1])

    def take(self, body: Mapping[str, Any]) -> list[Step]:
        """Any entry but a snapshot, a configuration or a rule's own step: what the rules make of it. Raises Misfit."""
        state, kind = self.state, body["kind"]
        replay_message(state.messages, body)
        match kind:
            case "batch":
                return self._batch(body)
            case "tick" if state.resolved:
                steps = state.engine.tick(int(body["rule_us"]), int(body["wall_us"]), trusted=bool(body["trusted"]))
                self.state.pass_workday((int(body["rule_us"]), int(body["wall_us"])), trusted=bool(body["trusted"]))
                return steps + self._arm(body)
            case "event":
                state.hear(body)
                if body.get("event") == ADOPTED:
                    state.adopt(body, int(body["rule_us"]))
                if body.get("event") == RECALLED and "state" in body:
                    state.take_over(body["state"])
                    return self._arm(body) + self._restand(body)
            case "violation":
                state.violations.replay(body, self.epoch)
                state.stepped(body)
            case "mark":
                state.marks.replay(body)
                return self._restand(body)
            case "phase":
                state.phases.replay(body)
                return self._restand(body)
            case "command" | "record" | "calibration":
                self._noted(body)
            case "gap":
                self._gap(body)
            case "correction":
                state.corrections[str(body["boot"])] = int(body["offset_us"])
        return []

    def config(self, body: Mapping[str, Any], resolved: dict[str, Any] | None) -> list[Step]:
        """A ``config`` entry, with its text."""
        state = self.state
        replay_message(state.messages, body)
        state.config = {"config_seq": body["seq"], "text": body["text"], "texts": body["texts"]}
        self.use(int(body["seq"]), resolved)
        state.account([group for group in state.resolved.get("groups", {}) if group not in state.slots], int(body["mono_us"]))
        return self._arm(body) + self._restand(body)

    def _noted(self, body: Mapping[str, Any]) -> None:
        """What only its own ledger keeps."""
        match body["kind"]:
            case "command":
                self.state.commands.replay(body)
            case "record":
                self.state.ledger.replay(body)
            case "calibration":
                self.state.calibrated(body)

    def _restand(self, body: Mapping[str, Any]) -> list[Step]:
        return self.state.restand(int(body["rule_us"]), int(body["wall_us"]))

    def _arm(self, body: Mapping[str, Any]) -> list[Step]:
        return self.state.arm((int(body["rule_us"]), int(body["wall_us"])), trusted=bool(body["trusted"]))[0]

    def _gap(self, body: Mapping[str, Any]) -> None:
        state = self.state
        if body["state"] == "open":
            state.gaps[body["gap"]] = {key: body[key] for key in body if key not in entry.ENVELOPE}
            return
        opened = state.gaps.pop(body["gap"], None)
        state.account(opened["groups"] if opened else (), int(body["until_slot_us"]))

    def _batch(self, body: Mapping[str, Any]) -> list[Step]:
        state = self.state
        known = self.groups.get(int(body["config_seq"]))
        group = None if known is None else known.get(body["group"])
        if known is not None and len(body["values"]) != (None if group is None else len(group["points"])):
            raise Misfit(len(body["values"]), None if group is None else len(group["points"]))
        steps: list[Step] = []
        if group is not None and state.resolved:
            values = [int(v) if isinstance(v, str) else v for v in body["values"]]
            points = tuple(group["points"])
            rule_us, quality = int(body["rule_us"]), body.get("quality")
            now = rule_us, int(body["wall_us"]), bool(body["trusted"])
            own_us = (body.get("message") or {}).get("time_us")
            steps = judge(state.engine, state.own, now, (points, values, quality), own_us)
            state.workday.note((points, values, quality), rule_us, now[1])
            # Sums over time go on as they went; the readings that follow from this one are in the record already.
            state.derivation.note(str(body["group"]), (points, values, quality), int(body["mono_us"]), rule_us)
        if "keep" in body and group is not None:
            state.keep(str(group["device"]), body["keep"])
        if "slot_us" in body:
            state.slots[str(body["group"])] = int(body["slot_us"])
        return steps
