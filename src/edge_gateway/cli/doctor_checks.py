"""The checks of ``doctor``: each asks the system or the running gateway one thing; what cannot be known is not claimed."""

from __future__ import annotations

import http.client
import os
import platform
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edge_gateway import __version__
from edge_gateway.cli import health_lines
from edge_gateway.cli.client import Client
from edge_gateway.cli.verbs import Context
from edge_gateway.cli.words import span, word
from edge_gateway.clock import rtc_present
from edge_gateway.config.load import ConfigRefused, Loaded, load
from edge_gateway.errors import GatewayError

#: Free space of the state folder's disk below which a check warns, and fails.
LITTLE, TOO_LITTLE = 0.15, 0.05
OLDEST_PYTHON = (3, 11)
#: A page that listens everywhere is asked at the loopback address.
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - nothing is bound here


@dataclass(slots=True)
class Check:
    """``level``: ``ok``, ``warn``, or ``fail`` for a required check. ``more``: lines of detail; ``fix``: what to do."""

    id: str
    level: str
    what: str
    fix: str = ""
    more: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


def every(ctx: Context) -> Iterator[Check]:
    """All checks in the order in which a person would mend things."""
    yield _program(ctx)
    loaded, check = _config(ctx)
    yield check
    status, check = _service(ctx)
    yield check
    yield from _clock(ctx, status)
    yield from _buses(ctx, status, loaded)
    yield from _disk(ctx, status)
    yield from _page(ctx, status, loaded)
    yield from _sinks(ctx, status)
    for alarm in status.get("alarms", ()):
        yield Check(
            f"alarm-{alarm['code']}",
            "fail",
            f"{alarm['code']}: {alarm['why']}",
            ctx.say("see the log: journalctl -u edge-gateway", "查看日志：journalctl -u edge-gateway"),
        )


def _program(ctx: Context) -> Check:
    model = Path("/proc/device-tree/model")
    machine = model.read_text().rstrip("\0") if model.is_file() else platform.machine()
    what = f"python {platform.python_version()}, edge-gateway {__version__}, {platform.machine()}, {machine}"
    old = sys.version_info[:2] < OLDEST_PYTHON
    return Check(
        "program",
        "fail" if old else "ok",
        what,
        ctx.say("python 3.11 or later is needed", "需要 Python 3.11 或更高") if old else "",
    )


def _config(ctx: Context) -> tuple[Loaded | None, Check]:
    try:
        loaded = load(ctx.config, ctx.state_dir, running=False)
    except ConfigRefused as refused:
        faults = ctx.say(
            f"{len(refused.faults)} faults, the first: {refused.faults[0]}",
            f"{len(refused.faults)} 处错误，第一处：{refused.faults[0]}",
        )
        return None, Check("config", "fail", f"{ctx.config}: {faults}", "edge-gateway check")
    except GatewayError as error:
        return None, Check("config", "fail", f"{ctx.config}: {error.why}", error.hint or "edge-gateway init")
    config = loaded.config
    en = f"configuration {ctx.config}: {len(config.buses)} buses, {len(config.devices)} devices, {len(config.points)} points"
    zh = f"配置 {ctx.config}：总线 {len(config.buses)}，设备 {len(config.devices)}，测点 {len(config.points)}"
    return loaded, Check("config", "ok", ctx.say(en, zh))


def _service(ctx: Context) -> tuple[dict[str, Any], Check]:
    try:
        status = Client(ctx.socket).get("/v1/status")
    except GatewayError as error:
        what = ctx.say(f"no running gateway: {error.why}", f"没有运行中的网关：{error.why}")
        fix = ctx.say(
            "sudo systemctl start edge-gateway, or edge-gateway run; lines can be looked at without it: edge-gateway doctor bus NAME",
            "sudo systemctl start edge-gateway 或 edge-gateway run；不运行网关也可检查总线：edge-gateway doctor bus NAME",
        )
        return {}, Check("service", "fail", what, fix)
    running = span((status["wall_us"] - status["started_wall_us"]) / 1e6)
    return status, Check(
        "service", "ok", ctx.say(f"the gateway answers, running for {running}", f"网关已应答，已运行 {running}")
    )


def _clock(ctx: Context, status: Mapping[str, Any]) -> Iterator[Check]:
    if status and not status["clock"]["trusted"]:
        what = ctx.say("time: the clock is not trusted, InfluxDB waits", "时间：时钟不可信，InfluxDB 上报等待中")
        yield Check(
            "clock", "fail", what, ctx.say("timedatectl: is NTP on and reachable?", "timedatectl：NTP 是否启用且可达？")
        )
    elif status:
        yield Check(
            "clock",
            "ok",
            ctx.say(f"time: trusted ({status['clock']['trust']})", f"时间：可信（{status['clock']['trust']}）"),
        )
    if not rtc_present():
        what = ctx.say(
            "no battery-backed clock (RTC): after a power cut the first minutes are marked 'clock not trusted'",
            "没有带电池的时钟（RTC）：断电后最初几分钟会标记“时钟不可信”",
        )
        fix = ctx.say(
            "add a DS3231 and dtoverlay=i2c-rtc,ds3231 in /boot/firmware/config.txt",
            "加装 DS3231，并在 /boot/firmware/config.txt 写入 dtoverlay=i2c-rtc,ds3231",
        )
        yield Check("rtc", "warn", what, fix)


def _buses(ctx: Context, status: Mapping[str, Any], loaded: Loaded | None) -> Iterator[Check]:
    zone = status.get("site", {}).get("timezone", "Asia/Shanghai")
    for name, health in status.get("buses", {}).items():
        yield from _bus(ctx, name, health, zone)
    if status or loaded is None:
        return
    for name, bus in loaded.config.buses.items():
        port = getattr(bus, "port", None)
        if isinstance(port, str):  # a serial one
            yield _port(ctx, name, Path(port))


def _bus(ctx: Context, name: str, health: Mapping[str, Any], zone: str) -> Iterator[Check]:
    title = f"{ctx.say('bus', '总线')} {name}"
    if health.get("state") == "down":
        yield Check(
            f"bus-{name}",
            "fail",
            f"{title}: {word(ctx, 'down')}  {health.get('said', '')}",
            f"edge-gateway doctor bus {name}",
        )
        return
    link = health.get("link")
    if link is None:
        yield Check(f"bus-{name}", "ok", f"{title}: {health.get('kind', '')}")
        return
    counts = health_lines.counters(ctx, health_lines.summed(link["units"]))
    bad = [finding for finding in link["findings"] if finding["level"] != "ok"]
    if not bad:
        seen = health_lines.seen(ctx, health, link["findings"][0] | {"figures": {}}, zone)
        yield Check(f"bus-{name}", "ok", f"{title}: {seen}  {counts}")
    for finding in bad:
        what = f"{title}: {health_lines.seen(ctx, health, finding, zone)}"
        closer = f"{ctx.say('look closer', '进一步查看')}: edge-gateway doctor bus {name} --duration 60s"
        likely, fix = [*health_lines.behind(ctx, finding), "", ""][:2]
        yield Check(f"bus-{name}", finding["level"], what, fix.partition(": ")[2], [likely, closer] if likely else [closer])


def _port(ctx: Context, name: str, port: Path) -> Check:
    title = f"{ctx.say('bus', '总线')} {name}: {port}"
    if not port.exists():
        return Check(
            f"bus-{name}",
            "fail",
            f"{title} {ctx.say('is not there', '不存在')}",
            ctx.say("is the adaptor plugged in? ls /dev/serial/by-id", "转换器是否插好？ls /dev/serial/by-id"),
        )
    if not os.access(port, os.R_OK | os.W_OK):
        fix = "sudo usermod -aG dialout $USER"
        return Check(
            f"bus-{name}", "fail", f"{title} {ctx.say('may not be opened by this user', '当前用户无权打开')}", fix
        )
    return Check(
        f"bus-{name}", "ok", f"{title} {ctx.say('can be opened', '可以打开')}", more=[f"edge-gateway doctor bus {name}"]
    )


def _disk(ctx: Context, status: Mapping[str, Any]) -> Iterator[Check]:
    folder = ctx.state_dir
    if not folder.is_dir():
        yield Check(
            "state",
            "warn",
            ctx.say(f"state folder {folder} is not there yet", f"状态目录 {folder} 尚不存在"),
            ctx.say("the gateway makes it at its first start", "网关首次启动时创建"),
        )
        return
    usage = shutil.disk_usage(folder)
    free = usage.free / usage.total
    level = "fail" if free < TOO_LITTLE else "warn" if free < LITTLE else "ok"
    what = ctx.say(
        f"disk of {folder}: {free:.0%} of {usage.total / 1e9:.0f} GB free",
        f"{folder} 所在磁盘：{usage.total / 1e9:.0f} GB 中剩余 {free:.0%}",
    )
    yield Check(
        "disk",
        level,
        what,
        ""
        if level == "ok"
        else ctx.say("free space, or lower journal.max_bytes", "清理空间，或调低 journal.max_bytes"),
    )
    journal = status.get("journal", {})
    for key in ("damaged", "troubled"):
        if journal.get(key):
            yield Check("journal", "fail", f"{word(ctx, key)}: {journal[key]}", "edge-gateway journal verify")
    if journal.get("full"):
        yield Check(
            "journal",
            "fail",
            ctx.say("the record is full: ordinary readings stopped", "台账已满：普通读数已停止"),
            ctx.say(
                "see which sink or hub does not take it: edge-gateway status", "查看哪个去向未接收：edge-gateway status"
            ),
        )
    if not status and not os.access(folder, os.W_OK):
        yield Check(
            "permissions",
            "warn",
            ctx.say(f"this user may not write {folder}", f"当前用户无权写入 {folder}"),
            ctx.say(
                "the gateway's own user must: sudo -u edge-gateway edge-gateway doctor",
                "应由网关用户写入：sudo -u edge-gateway edge-gateway doctor",
            ),
        )


def _page(ctx: Context, status: Mapping[str, Any], loaded: Loaded | None) -> Iterator[Check]:
    if not status or loaded is None or not loaded.config.page.listen:
        return
    host, _, port = loaded.config.page.listen.rpartition(":")
    host = host.strip("[]")
    connection = http.client.HTTPConnection(_EVERYWHERE.get(host, host), int(port), timeout=5)
    try:
        connection.request("GET", "/healthz")
        answer = connection.getresponse().status
    except OSError as error:
        yield Check(
            "page",
            "fail",
            ctx.say(
                f"page http://{host}:{port}/ is not reachable: {error}", f"页面 http://{host}:{port}/ 不可达：{error}"
            ),
            ctx.say(
                "is the address of this machine, and was the gateway started after the last change?",
                "地址是否属于本机？修改后是否重启了网关？",
            ),
        )
        return
    finally:
        connection.close()
    if answer == http.client.OK:
        yield Check("page", "ok", ctx.say(f"page reachable: http://{host}:{port}/", f"页面可达：http://{host}:{port}/"))
    else:
        yield Check(
            "page",
            "fail",
            ctx.say(f"page http://{host}:{port}/ answers {answer}", f"页面 http://{host}:{port}/ 返回 {answer}"),
            "journalctl -u edge-gateway",
        )


def _sinks(ctx: Context, status: Mapping[str, Any]) -> Iterator[Check]:
    for name, sink in status.get("sinks", {}).items():
        state = sink["state"]
        level = "ok" if state == "ok" else "fail" if state == "unauthorised" else "warn"
        waiting = f"{ctx.say('backlog', '积压')} {sink['backlog']}"
        what = f"{ctx.say('sink', '去向')} {name}: {word(ctx, state)}  {waiting}  {sink['why']}".rstrip()
        fix = {
            "unauthorised": ctx.say(
                "the key or token must be replaced; nothing is lost meanwhile", "需要更换密钥或令牌；期间数据不丢失"
            ),
            "unreachable": ctx.say("check the network; nothing is lost meanwhile", "检查网络；期间数据不丢失"),
        }.get(state, "")
        yield Check(f"sink-{name}", level, what, fix)
