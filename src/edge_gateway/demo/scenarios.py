"""The scenarios of ``simulate``: what happens when, and what a sound gateway then has on record; data and its reading only, moves nothing."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from edge_gateway.demo.story import JITTER_S, Happening

#: (rule, point, step) as the hub's record has them.
Outcome = tuple[str, str, str]
#: The last happening of every scenario.
ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Times in the site's seconds. ``must`` is on record at the end and no other violation is; ``quiet``: no notice either."""

    id: str
    en: str
    zh: str
    lasts_s: int
    story: tuple[tuple[int, str], ...] = ()
    must: tuple[Outcome, ...] = ()
    quiet: bool = False
    #: how far the gateway's wall clock may be from the plant's, made so by the scenario
    jump_s: int = 0
    #: what the gateway waits for an answer (real seconds)
    timeout_s: float = 1.5

    def happenings(self, seed: int) -> Iterator[Happening]:
        """In order of time, all shifted by what the seed says."""
        shift_s = random.Random(f"{seed}:{self.id}").randint(0, JITTER_S)
        yield from (Happening(at_s + shift_s, what) for at_s, what in (*self.story, (self.lasts_s, ENDED)))

    def faults(self, steps: Iterable[Outcome]) -> list[tuple[Outcome, bool]]:
        """Where a record's steps are not what they should be: (step, whether it is missing rather than too many)."""
        found = set(steps)
        unwanted = ("violated", "notice") if self.quiet else ("violated",)
        return [(step, True) for step in self.must if step not in found] + [
            (step, False) for step in sorted(found.difference(self.must)) if step[2] in unwanted
        ]


def _of(rule: str, point: str, step: str = "violated") -> tuple[Outcome, ...]:
    return ((rule, point, step),)


_SCENARIOS = (
    Scenario(id="normal", en="nothing happens: no notice", zh="一切正常：没有预警", lasts_s=1200, quiet=True),
    Scenario(
        id="door-open", en="a door stands open for three minutes: a notice that ends by itself", zh="库门开启三分钟：预警，自行恢复", lasts_s=1200,
        story=((120, "door-opened"), (300, "door-closed")), must=_of("frozen-store-air", "cold1-air", "notice"),
    ),
    Scenario(
        id="defrost", en="a store defrosts, marked: it would have fired, and nothing does", zh="已标记的除霜：影子判定有记录，不产生预警和违规", lasts_s=2640,
        story=((120, "mark-defrost"), (180, "defrost-begun"), (1800, "defrost-over"), (2340, "mark-ended")),
        must=_of("frozen-store-air", "cold1-air", "would-have-fired"), quiet=True,
    ),
    Scenario(
        id="compressor-stop", en="a compressor stops for half an hour: a notice, then a violation", zh="压缩机停机半小时：预警，然后违规", lasts_s=2400,
        story=((120, "compressor-stopped"), (1920, "compressor-repaired")), must=_of("frozen-store-air", "cold2-air"),
    ),
    Scenario(
        id="power-cut", en="the site's power fails for ten minutes; the gateway is killed and starts again: no violation", zh="全站停电十分钟，网关被强行终止后重启：没有违规", lasts_s=1500,
        story=((180, "power-cut"), (780, "power-back")),
    ),
    Scenario(
        id="probe-unplugged", en="a probe does not answer for 40 minutes: no data is not compliance, a violation", zh="探头 40 分钟无应答：无数据不等于合格，构成违规", lasts_s=2700,
        story=((120, "probe-unplugged"), (2520, "probe-plugged")), must=_of("cold-chain-silence", "cold2-air"),
    ),
    Scenario(
        id="probe-swapped", en="the probes of a frozen and a chilled store change places: a violation at each", zh="冻库与冷藏库的探头互换：两处均违规", lasts_s=1800,
        story=((120, "probes-swapped"), (1380, "probes-back")),
        must=_of("frozen-store-air", "cold1-air") + _of("chilled-store-air", "chill1-air"),
    ),
    Scenario(
        id="stuck-value", en="a probe shows the same value for six hours: a notice that it is doubtful", zh="探头六小时数值不变：探头可疑预警", lasts_s=22500,
        story=((120, "value-stuck"),), must=_of("temperature-stuck", "cold2-air", "notice"),
    ),
    Scenario(
        id="drift", en="one of two probes in a room drifts upward: its limit breaks, and the two are said to disagree", zh="同室两支探头之一向上漂移：超限违规，并报告两者不一致", lasts_s=4200,
        story=((120, "drift-begun"),),
        must=_of("chilled-store-air", "chill1-entry-air") + _of("probes-disagree", "chill1-air", "notice"),
    ),
    Scenario(
        id="noisy-bus", en="a tenth of a serial line's answers is damaged: no wrong value, no violation", zh="串行线路十分之一的应答损坏：没有错误数值，没有违规", lasts_s=1500,
        story=((120, "noise-begun"), (1320, "noise-over")), timeout_s=0.5,
    ),
    Scenario(
        id="clock-jump", en="the gateway's wall clock jumps an hour ahead while a delay runs: the violation comes neither earlier nor later", zh="计时期间网关时钟跳前一小时：违规既不提前也不推迟", lasts_s=2400,
        story=((120, "compressor-stopped"), (840, "clock-jumped"), (1920, "compressor-repaired")),
        must=_of("frozen-store-air", "cold2-air"), jump_s=3600,
    ),
    Scenario(
        id="hub-down", en="a compressor stops while the hub is away: the site decides alone, the hub is filled up afterwards", zh="监管端中断期间压缩机停机：现场独立判定，恢复后补传", lasts_s=2400,
        story=((60, "hub-cut"), (120, "compressor-stopped"), (1800, "hub-back"), (1920, "compressor-repaired")),
        must=_of("frozen-store-air", "cold2-air"),
    ),
    Scenario(
        id="ice-bath-calibration", en="a probe is marked and calibrated in an ice bath: its error on record, no notice", zh="探头标记后在冰浴中校准：误差入账，没有预警", lasts_s=2400,
        story=((120, "mark-calibration"), (180, "probe-in-bath"), (420, "as-found"), (1620, "probe-back"), (2040, "mark-ended")),
        must=_of("frozen-store-air", "cold1-air", "would-have-fired"), quiet=True,
    ),
)  # fmt: skip
SCENARIOS = {scenario.id: scenario for scenario in _SCENARIOS}

#: What happens in scenarios only: id -> (English, Chinese). The rest is the story's.
TEXTS: dict[str, tuple[str, str]] = {
    "mark-defrost": ("cold store 1 is marked: defrost", "冷库1 已标记：除霜"),
    "defrost-begun": ("cold store 1 defrosts: nothing cools it", "冷库1 开始除霜：停止制冷"),
    "defrost-over": ("cold store 1 cools again", "冷库1 恢复制冷"),
    "mark-ended": ("the mark is ended", "标记结束"),
    "power-cut": ("the site's power fails", "全站停电"),
    "power-back": ("the power is back", "恢复供电"),
    "probe-unplugged": ("the probe of cold store 2 is unplugged", "冷库2 探头被拔出"),
    "probe-plugged": ("the probe of cold store 2 is plugged in again", "冷库2 探头重新接上"),
    "probes-swapped": ("the probes of cold store 1 and the chilled store change places", "冷库1 与冷藏库的探头互换"),
    "probes-back": ("both probes are where they belong", "两支探头复位"),
    "value-stuck": ("the probe of cold store 2 sticks at its value", "冷库2 探头数值卡住"),
    "drift-begun": ("the chilled store's probe at the door begins to drift", "冷藏库门口探头开始漂移"),
    "noise-begun": ("noise on the serial line", "串行线路出现干扰"),
    "noise-over": ("the serial line is clean again", "串行线路恢复"),
    "clock-jumped": ("the gateway's wall clock jumps an hour ahead", "网关时钟跳前一小时"),
    "mark-calibration": ("the probe of cold store 1 is marked: calibration", "冷库1 探头已标记：校准"),
    "probe-in-bath": ("the probe of cold store 1 hangs in an ice bath", "冷库1 探头置于冰浴"),
    "as-found": ("it is compared with the reference", "与标准值对照"),
    "probe-back": ("the probe is back in the store", "探头放回冷库"),
    ENDED: ("the scenario is over", "情景结束"),
}  # fmt: skip
