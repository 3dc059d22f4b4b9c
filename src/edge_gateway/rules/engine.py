"""Judges readings as they are journaled and answers when time alone must be judged; pure: time is an argument.

The hot path asks one question a reading: does it lie in its point's quiet band, where no rule has anything to do?
Everything else (timers, hysteresis, unknown) is in ``track`` and ``kinds``, and runs only for readings that do not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import heapify, heappop, heappush, heapreplace
from typing import Any, cast

from edge_gateway.reading import GOOD, UNCERTAIN_FUTURE, UNCERTAIN_LATE, UNCERTAIN_QUEUED, Value
from edge_gateway.rules.base import UNKNOWN, BoundRule, First, Step
from edge_gateway.rules.conditions import CombinedTrack
from edge_gateway.rules.kinds import StaleTrack, track_for
from edge_gateway.rules.measure import Joint
from edge_gateway.rules.plan import Plan, Point, is_number
from edge_gateway.rules.removed import remembered
from edge_gateway.rules.roster import Roster
from edge_gateway.rules.standing import Standing, Stood, in_excursion, is_shade, shade_of
from edge_gateway.rules.track import IDLE, NOTICED, PENDING, Track

__all__ = ["BoundRule", "Engine", "Step"]

_UNJUDGED = (UNCERTAIN_QUEUED, UNCERTAIN_FUTURE, UNCERTAIN_LATE)


class Engine:
    """All rules of a site. Same readings and times in, same steps out; state lives in ``snapshot``."""

    def __init__(self, rules: Sequence[BoundRule]) -> None:
        self._roster = Roster()
        self._points = self._roster.points
        self._tracks: dict[str, Track] = {}
        #: rules that are not armed, or whose shadow is not done; those of them that must be looked at after each call
        self._stood: dict[str, Stood] = {}
        self._restless: set[str] = set()
        self._left_stood: dict[str, dict[str, Any]] = {}
        #: (due, order, what): a track, or a plan for all of its idle silences; an item counts while it is ``queued_us``
        self._due: list[tuple[int, int, Track | Plan]] = []
        self._watches = 0
        #: state that no rule claims: of removed rules and points, until they come back
        self._left: dict[str, dict[str, Any]] = {}
        self._left_seen: dict[str, list[int]] = {}
        self._settled = False
        self._now_us = 0
        #: rules over several points that the present instant concerns, and that instant: judged when it is over
        self._joint: set[Joint] = set()
        self._instant = 0, 0
        # By name, so that the order in which files list rules and points decides nothing.
        for order, rule in enumerate(sorted(rules, key=lambda each: (each.id, each.point))):
            track = self._tracks[_key(rule.id, rule.point)] = track_for(rule, 2 * order)  # the next number is its shadow's
            self._roster.enlist(track)
        for point in self._points.values():
            point.settle()
        self._doubted = False
        for combined in self._roster.combined:
            combined.link(self._tracks, self._points)

    # --- readings -------------------------------------------------------------------------------------------------

    def judge(
        self, rule_us: int, wall_us: int, points: tuple[str, ...], values: list[Value], quality: list[str] | None
    ) -> list[Step]:
        """The steps that one batch makes, in the order of its columns and of the rules' ids; rules over several readings last.

        A value that is None, NaN or infinite, or of a quality other than good or uncertain, is unknown. Queued and
        future readings are not judged at all. ``rule_us`` never decreases from call to call; ``values`` is kept until
        the group's next batch and must not be changed.
        """
        steps = self._judge(rule_us, wall_us, points, values, quality)
        if self._roster.combined and (steps or self._doubted):
            self._concern(rule_us, wall_us, steps)
        return self._sifted(steps, rule_us, wall_us) if self._stood else steps

    def _judge(
        self, rule_us: int, wall_us: int, points: tuple[str, ...], values: list[Value], quality: list[str] | None
    ) -> list[Step]:
        plan = self._roster.plans.get(points)
        if plan is None:
            plan = self._plan(points)
        self._now_us = rule_us
        steps = self._begin(rule_us, wall_us) if not self._settled else []
        if self._joint and rule_us > self._instant[0]:
            self._judge_instant(steps)
        if quality is None:
            loud = plan.loud(values)
            if loud is not None:
                columns, numbers, silent = plan.columns, cast("list[float]", values), rule_us - plan.seen_us > plan.silent_us
                for column in loud:
                    point = columns[column]
                    if point is None:
                        continue
                    if (busy := point.busy) is None or not busy.goes_on(numbers[column], rule_us):
                        self._known(point, numbers[column], rule_us, wall_us, steps)
                    elif silent:
                        self._heard(point, rule_us, wall_us, steps)
                plan.judged(rule_us, wall_us, values)
                if plan.queued_us is None and plan.silences:
                    self._watch(plan)
                if plan.measured:
                    self._measure(plan, (rule_us, wall_us), values, None, steps)
                return steps
            quality = [GOOD] * len(values)
        self._judge_mixed(plan, rule_us, wall_us, values, quality, steps)
        if plan.measured:
            self._measure(plan, (rule_us, wall_us), values, quality, steps)
        return steps

    def _measure(
        self, plan: Plan, now: tuple[int, int], values: list[Value], quality: list[str] | None, steps: list[Step]
    ) -> None:
        """Rules over several readings are told each of theirs."""
        passes = quality is None and plan.passes(now[0], values)
        for column, track, at in plan.wanting if passes else plan.measured:
            word, value = GOOD if quality is None else quality[column], values[column]
            if word in _UNJUDGED or (word == GOOD and value is not None and track.goes_on(value, now[0])):
                continue
            known = is_number(value) and (word == GOOD or word.startswith("uncertain"))
            was_in_doubt = track.in_doubt
            step = track.observe(at, cast("float", value) if known else None, *now)
            self._doubted = self._doubted or track.in_doubt != was_in_doubt
            if step is not None:
                steps.append(step)
            if isinstance(track, Joint):
                self._joint.add(track)
                self._instant = now
            self._queue(track, track.due_us())
        if quality is None and not passes:
            plan.rest(now[0], values)

    def late(
        self, now: tuple[int, int], points: tuple[str, ...], values: list[Value], quality: list[str] | None, own_us: int
    ) -> None:
        """After ``judge`` of the same batch: its late readings, of wall time ``own_us``, for kinds that still take them.

        ``now``: the batch's rule and wall time, the latter vouched for. What this changes is judged with the next reading.
        """
        plan = self._roster.plans.get(points) or self._plan(points)  # ``judge`` gives it up where a standing ends
        for column, track, at in plan.measured:
            value = values[column]
            if quality is not None and quality[column] == UNCERTAIN_LATE and is_number(value):
                track.late(at, cast("float", value), now, own_us)

    def _judge_instant(self, steps: list[Step]) -> None:
        """The instant that concerned rules over several points is over."""
        for track in sorted(self._joint, key=lambda each: each.order):
            was_in_doubt = track.in_doubt
            steps += track.judged(*self._instant)
            self._doubted = self._doubted or track.in_doubt != was_in_doubt
            self._queue(track, track.due_us())
        self._joint.clear()

    def _concern(self, rule_us: int, wall_us: int, steps: list[Step]) -> None:
        """Rules over other rules look at them, once this instant is over: one took a step, or came into doubt or out of it."""
        if not self._doubted and all(step.rule in self._roster.combining for step in steps):
            return
        self._doubted = False
        self._instant = rule_us, wall_us
        for track in self._roster.combined:
            track.concern(rule_us)
            self._joint.add(track)
            self._queue(track, track.due_us())

    def _judge_mixed(
        self, plan: Plan, rule_us: int, wall_us: int, values: list[Value], quality: list[str], steps: list[Step]
    ) -> None:
        """Columns of different quality."""
        plan.fall_out()
        for point, value, word in zip(plan.columns, values, quality, strict=True):
            if point is None or word in _UNJUDGED:
                continue
            if not is_number(value) or (word != GOOD and not word.startswith("uncertain")):
                if point.low > point.high:  # only where something is going on
                    self._unknown(point, rule_us, wall_us, steps)
                continue
            number = cast("float", value)
            if point.rates or not point.low <= number <= point.high:
                self._known(point, number, rule_us, wall_us, steps)
            point.seen_us, point.seen_wall_us = rule_us, wall_us

    def _known(self, point: Point, value: float, rule_us: int, wall_us: int, steps: list[Step]) -> None:
        if point.rates:
            point.catch_up()
        busy = point.low > point.high
        for track in point.tracks:
            step = track.known(value, rule_us, wall_us)
            if step is not None:
                steps.append(step)
            if track.phase != IDLE:
                self._queue(track, track.due_us())
                busy = True
        if busy:
            self._heard(point, rule_us, wall_us, steps)
            point.settle()

    def _heard(self, point: Point, rule_us: int, wall_us: int, steps: list[Step]) -> None:
        seen_us = point.seen()[0]
        for silence in point.silences:
            step = silence.heard(seen_us, rule_us, wall_us)
            if step is not None:
                steps.append(step)
                self._queue(silence, self._due_of(silence))

    def _unknown(self, point: Point, rule_us: int, wall_us: int, steps: list[Step]) -> None:
        for track in point.tracks:
            step = track.unknown(rule_us, wall_us)
            if step is not None:
                steps.append(step)

    # --- time -----------------------------------------------------------------------------------------------------

    def doubt(self, wall_us: int) -> None:
        """What is judged next has a wall time that nobody vouches for: civil periods with it will be undecided."""
        for window in self._roster.periods:
            window.distrust(wall_us)

    def tick(self, rule_us: int, wall_us: int, *, trusted: bool = True) -> list[Step]:
        """The steps that the passing of time makes, in the order of the rules' ids and the points.

        No civil period ends by a wall clock that is not ``trusted``.
        """
        self._now_us = rule_us
        steps = self._begin(rule_us, wall_us) if not self._settled else []
        if self._joint and rule_us > self._instant[0]:
            self._judge_instant(steps)
        ripe: list[Track] = []
        while (due_us := self.due_us()) is not None and due_us <= rule_us:
            track = cast("Track", heappop(self._due)[2])
            track.queued_us = None
            ripe.append(track)
        for window in self._roster.periods if trusted else ():
            if (step := window.passed(rule_us, wall_us)) is not None:
                steps.append(step)
            self._queue(window, window.due_us())
        for track in sorted(ripe, key=lambda each: each.order):
            point = self._points[track.rule.point]
            if isinstance(track, StaleTrack):
                step = track.silent(*point.seen(), rule_us, wall_us)
            else:
                step = track.tick(rule_us, wall_us)
                self._doubted = self._doubted or (isinstance(track, CombinedTrack) and track.looks(rule_us))
            if step is not None:
                steps.append(step)
            self._queue(track, self._due_of(track))
            point.settle()
        if self._roster.combined and (steps or self._doubted):
            self._concern(rule_us, wall_us, steps)
        return self._sifted(steps, rule_us, wall_us) if self._stood else steps

    def rearm(self, rule: str, point: str) -> None:
        """What stood there was withdrawn: nothing is wrong until the next reading says so, or time over a silence."""
        key = _key(rule, point)
        self._left.pop(key, None)
        self._left_stood.pop(key, None)
        track = self._tracks.get(key)
        if track is None:
            return
        track.reset()
        if (stood := self._stood.get(key)) is not None:  # what its shadow sees is nobody else's any more
            stood.own = True
            self._restless.add(key)
        self._points[track.rule.point].settle()
        self._queue(track, self._due_of(track))
        self._doubted = True

    def due_us(self) -> int | None:
        """Next rule time at which ``tick`` could step something; it may lie in the past (then: tick now).

        Far ahead it is a lower bound: a silence's due time moves with each reading, and is only looked up again
        when it comes near.
        """
        if not self._settled:
            return 0 if self._tracks or self._left else None
        while self._due:
            due_us, order, what = self._due[0]
            if what.queued_us != due_us:  # another time was queued since
                heappop(self._due)
            elif isinstance(what, Plan):
                if due_us - self._now_us > what.least_us / 2:
                    return due_us
                self._look_at(what, due_us, order)
            elif due_us - self._now_us > what.near_us:
                return due_us
            else:
                true_us = self._due_of(what)
                if true_us == due_us:
                    return due_us
                what.queued_us = true_us
                if true_us is None:
                    heappop(self._due)
                else:  # readings came since: look again when they have gone silent
                    heapreplace(self._due, (true_us, order, what))
        return None

    def _watch(self, plan: Plan) -> None:
        """From here one due time stands for the idle silences of a plan; theirs fall out when they come up."""
        self._watches += 1
        plan.queued_us = plan.seen_us + plan.least_us
        heappush(self._due, (plan.queued_us, -self._watches, plan))

    def _look_at(self, plan: Plan, due_us: int, order: int) -> None:
        """Whole batches came since: later. If not, each silence of the plan stands for itself again."""
        later_us = plan.seen_us + plan.least_us
        if later_us > due_us:
            plan.queued_us = later_us
            heapreplace(self._due, (later_us, order, plan))
        else:
            heappop(self._due)
            self._unwatch(plan)

    def _unwatch(self, plan: Plan) -> None:
        plan.queued_us = None
        for silence in plan.silences:
            self._queue(silence, self._due_of(silence))

    def _due_of(self, track: Track) -> int | None:
        """When a track is due by itself; None for an idle silence that its plan's due time stands for."""
        if not isinstance(track, StaleTrack):
            return track.due_us()
        point = self._points[track.rule.point]
        if track.phase == IDLE and point.plan is not None and point.plan.queued_us is not None:
            return None
        return track.silence_due_us(point.seen()[0])

    def _queue(self, track: Track, due_us: int | None) -> None:
        if due_us is not None and (track.queued_us is None or due_us < track.queued_us):
            heappush(self._due, (due_us, track.order, track))
            track.queued_us = due_us

    def pending(self) -> list[tuple[BoundRule, First]]:
        """Rules beyond whose limit a point is while their delay runs and no notice was given yet: what a page must show.

        ``First`` is the first offending reading. A few hundred comparisons; never asked on the way of a reading.
        """
        return [(track.rule, track.first) for track in self._tracks.values() if track.phase == PENDING]

    # --- rules that are not armed (``standing``) --------------------------------------------------------------------

    def stand(self, rule_us: int, wall_us: int, why: str, refs: Mapping[tuple[str, str], str]) -> list[Step]:
        """From here on the rules of ``refs``, (rule id, point) -> what says so, are not armed because of ``why``, and no others are.

        The whole picture for one ``why``, not what changed: whoever knows of marks need not know of phases, and telling the
        same twice changes nothing. A rule is armed while no ``why`` names it. What is not bound here is passed over, so
        say it again after a reload. Answers the steps that this makes; ``rule_us`` as for ``judge``.
        """
        wanted = {key: ref for each, ref in refs.items() if (key := _key(*each)) in self._tracks}
        keys = {key for key, stood in self._stood.items() if why in stood.reasons}
        changed: list[tuple[str, dict[str, str]]] = []
        for key in sorted(keys.union(wanted), key=lambda each: self._tracks[each].order):
            before = self._stood[key].reasons if key in self._stood else {}
            reasons = {each: ref for each, ref in before.items() if each != why}
            if key in wanted:
                reasons[why] = wanted[key]
            if reasons != before:
                changed.append((key, reasons))
        if not changed:
            return []
        self._now_us = rule_us
        steps = self._begin(rule_us, wall_us) if not self._settled else []
        if self._joint and rule_us > self._instant[0]:
            self._judge_instant(steps)
        for key, reasons in changed:
            self._change(key, reasons, rule_us, wall_us, steps)
        if self._roster.combined and (steps or self._doubted):
            self._concern(rule_us, wall_us, steps)
        return self._sifted(steps, rule_us, wall_us)

    def standing(self) -> list[tuple[BoundRule, list[Standing]]]:
        """The rules that are not armed, and why."""
        found = [(each.armed.rule, each.reasons) for each in self._stood.values() if each.reasons]
        return [(rule, [Standing(why=why, ref=ref) for why, ref in sorted(reasons.items())]) for rule, reasons in found]

    def stands(self, rule: str, point: str) -> bool:
        """Whether a rule is not armed."""
        stood = self._stood.get(_key(rule, point))
        return stood is not None and bool(stood.reasons)

    def excursion(self, rule: str, point: str) -> First | None:
        """The first offending reading of what goes on beyond an armed rule's limit; None while nothing does."""
        track = self._tracks.get(_key(rule, point))
        return None if track is None or track.phase == IDLE else track.first

    def condition(self, rule: str, point: str) -> bool | None:
        """Whether readings are within a rule's limit as far as it knows, by its shadow where it is not armed; None: unknown, or not there."""
        track = self._tracks.get(_key(rule, point))
        if track is None:
            return None
        track = track.shadow if track.stands and track.shadow is not None else track
        return None if track.said_unknown or track.in_doubt else track.phase == IDLE

    def _change(self, key: str, reasons: dict[str, str], rule_us: int, wall_us: int, steps: list[Step]) -> None:
        """A rule stands for other reasons than before, or is armed again."""
        track = self._tracks[key]
        for plan in self._roster.plans_of(track):
            self._give_up(plan)
        seen_us = self._points[track.rule.point].seen()[0]
        stood = self._stood.get(key)
        if stood is None:
            stood = self._stood[key] = Stood(track)
            stood.begin(seen_us, rule_us)
            self._enter(stood.shadow)
        was_armed = not stood.reasons
        stood.because(reasons)
        if was_armed or not reasons:
            self._doubted = True
        self._restless.add(key)
        if reasons:
            self._settle(key, rule_us, wall_us, steps)
            return
        if track.muted:
            stood.wake(seen_us, rule_us, wall_us)
            self._enter(track)
        if stood.is_over(seen_us, rule_us):
            self._release(key, rule_us, wall_us, steps)

    def _sifted(self, steps: list[Step], rule_us: int, wall_us: int) -> list[Step]:
        """Steps as others may see them: a shadow's are told only where they count."""
        told: list[Step] = []
        for step in steps:
            if not is_shade(step.rule):
                told.append(step)
            elif (stood := self._stood.get(_key(shade_of(step.rule), step.point))) is not None:
                meant = stood.tell(step)
                if meant is not None:
                    told.append(meant)
        for key in sorted(self._restless, key=lambda each: self._tracks[each].order):
            self._settle(key, rule_us, wall_us, told)
        return told

    def _settle(self, key: str, rule_us: int, wall_us: int, steps: list[Step]) -> None:
        """After a call: whether a delay still runs on, and a shadow still has something to follow."""
        stood = self._stood[key]
        track, seen_us = stood.armed, self._points[stood.armed.rule.point].seen()[0]
        stood.own = stood.own or not in_excursion(stood.shadow, seen_us, rule_us)
        if not stood.reasons:
            if stood.is_over(seen_us, rule_us):
                self._release(key, rule_us, wall_us, steps)
            return
        if not track.muted and not stood.runs_on(seen_us, rule_us):
            for plan in self._roster.plans_of(track):
                plan.wake()
            step = stood.mute(seen_us, rule_us, wall_us)
            self._leave(track)
            if step is not None:
                steps.append(step)
        if track.muted and stood.own:
            self._restless.discard(key)

    def _release(self, key: str, rule_us: int, wall_us: int, steps: list[Step]) -> None:
        stood = self._stood.pop(key)
        self._restless.discard(key)
        if (step := stood.last(rule_us, wall_us)) is not None:
            steps.append(step)
        stood.armed.shadow, stood.armed.beside_us = None, 0
        self._leave(stood.shadow)

    def _enter(self, track: Track) -> None:
        """``track`` is told of its readings from now on."""
        for plan in self._roster.plans_of(track):
            self._give_up(plan)
        self._roster.enlist(track)
        if isinstance(track, CombinedTrack):
            track.link(self._tracks, self._points)
        if isinstance(track, Joint) and track.instant_us is not None:
            self._joint.add(track)
        self._queue(track, self._due_of(track))
        self._points[track.rule.point].settle()

    def _leave(self, track: Track) -> None:
        """``track`` is told of nothing more."""
        for plan in self._roster.plans_of(track):
            self._give_up(plan)
        self._roster.dismiss(track)
        self._joint = {each for each in self._joint if each is not track}
        track.queued_us = None
        self._due = [each for each in self._due if each[2] is not track]
        heapify(self._due)
        self._points[track.rule.point].settle()

    # --- plans and beginnings -------------------------------------------------------------------------------------

    def _plan(self, points: tuple[str, ...]) -> Plan:
        """The plan of a group seen for the first time; a point that had another group moves here."""
        columns = [self._points.get(name) for name in points]
        for point in columns:
            if point is not None and point.plan is not None:
                self._give_up(point.plan)
        plan = self._roster.plans[points] = Plan(columns)
        return plan

    def _give_up(self, plan: Plan) -> None:
        self._roster.give_up(plan)
        self._unwatch(plan)

    def _begin(self, rule_us: int, wall_us: int) -> list[Step]:
        """First call: silence counts from now on where nothing was heard yet; what lost its rule becomes unknown."""
        self._settled = True
        for point in self._points.values():
            if point.silences and point.seen_us < 0:
                point.seen_us, point.seen_wall_us = rule_us, wall_us
        for track in self._tracks.values():
            self._queue(track, self._due_of(track))
        steps = []
        kept, stood = remembered(self._left, self._left_stood)
        for key, state in kept.items():
            if state["phase"] >= NOTICED and not state["said_unknown"]:
                state["said_unknown"], state["offends"] = True, False
                steps.append(_orphaned(key, state, rule_us, wall_us))
        self._left, self._left_stood, self._left_seen = kept, stood, {}
        return steps

    # --- state ----------------------------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """JSON-able: what each rule at each point remembers, and when each watched point was last heard."""
        rules = {key: dict(state) for key, state in self._left.items()}
        for plan in self._roster.plans.values():
            plan.wake()
        for point in self._points.values():
            point.catch_up()
        for key, track in self._tracks.items():
            if (state := track.state()) is not None:
                rules[key] = state
        watched = set[str]().union(*(combined.watched for combined in self._roster.combined))
        seen = {name: list(point.seen()) for name, point in self._points.items() if point.silences or name in watched}
        heard = {name: times for name, times in seen.items() if times[0] >= 0}
        more: dict[str, Any] = {"instant": list(self._instant)} if self._instant[0] else {}  # also for what no rule claims yet
        if self._stood or self._left_stood:
            more["stood"] = {**self._left_stood, **{key: stood.state() for key, stood in self._stood.items()}}
        return {"rules": rules, "seen": {**self._left_seen, **heard}, **more}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a snapshot, also one made under other rules: what no rule claims stays, unknown.

        For an engine that has judged nothing yet. A renamed point's rules take over what its old id left.
        """
        left = {key: dict(each) for key, each in state.get("rules", {}).items()}
        seen = {name: list(times) for name, times in state.get("seen", {}).items()}
        for key, track in self._tracks.items():
            rule = track.rule
            for name in (key, _key(rule.id, rule.renamed_from)):
                if name in left:
                    track.restore(left.pop(name))
                    break
            point = self._points[rule.point]
            for name in (rule.point, rule.renamed_from):
                if name in seen:
                    point.seen_us, point.seen_wall_us = seen.pop(name)
        self._instant = tuple(state.get("instant", (0, 0)))
        self._joint = {track for track in self._tracks.values() if isinstance(track, Joint) and track.instant_us is not None}
        self._restore_stood({key: dict(each) for key, each in state.get("stood", {}).items()})
        for point in self._points.values():
            point.settle()
        self._left, self._left_seen, self._settled = left, seen, False

    def _restore_stood(self, left: dict[str, dict[str, Any]]) -> None:
        for key, track in self._tracks.items():
            for name in (key, _key(track.rule.id, track.rule.renamed_from)):
                if name in left:
                    stood = self._stood[key] = Stood(track)
                    stood.restore(left.pop(name))
                    self._restless.add(key)
                    self._enter(stood.shadow)
                    if track.muted:
                        self._leave(track)
                    break
        self._left_stood = left


def _key(rule: str, point: str) -> str:
    return f"{rule}/{point}"


def _orphaned(key: str, state: dict[str, Any], rule_us: int, wall_us: int) -> Step:
    rule, _, point = key.partition("/")
    first = First(rule_us=state["first"][0], wall_us=state["first"][1], value=state["first"][2])
    return Step(
        rule=rule, point=point, step=UNKNOWN, rule_us=rule_us, wall_us=wall_us, first=first,
        peak=state["peak"], beyond_us=state["beyond_us"], excess=state["excess"], area=state.get("area", ""),
    )  # fmt: skip
