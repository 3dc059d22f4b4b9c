"""The words for findings about a line: what is seen, what may be behind it and what to do next, in English and Chinese; judges nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Two = tuple[str, str]

#: What is seen.
CODES: Mapping[str, Two] = {
    "healthy": ("healthy", "正常"),
    "unknown": ("too few exchanges to judge", "通信次数太少，无法判断"),
    "echo": ("our own requests come back", "收到自己发出的请求（回波）"),
    "foreign": ("another master talks on the line", "线路上另有主站在通信"),
    "second-speaker": ("something else speaks right behind the answers", "应答之后紧跟着别的设备的数据"),
    "breaks": ("no answers, only zeros from a line at the wrong level", "没有应答，只有电平错误产生的零字节"),
    "babble": ("no answers, and bytes nobody understands", "没有应答，只有无法识别的字节"),
    "silent-line": ("nothing answers", "没有任何应答"),
    "floating": ("stray bytes around the answers", "应答前后有多余字节"),
    "parity": ("answers are right, but with parity errors", "应答正确，但有校验位错误"),
    "silent": ("does not answer", "无应答"),
    "stopped": ("has stopped answering", "已停止应答"),
    "behind-gateway": ("the gateway does not reach the unit", "网关到不了该从站"),
    "late": ("answers after the time-out", "超时之后才应答"),
    "busy": ("says that it is busy", "回复“设备忙”"),
    "slow": ("answers nearly too late", "应答接近超时"),
    "gappy": ("answers only now and then", "时有时无"),
    "garbled": ("answers cannot be understood", "应答无法识别"),
    "doubled": ("two answers to one question", "一问两答"),
    "mixed": ("answers begin well and end in a mixture", "应答开头正确、后面混乱"),
    "damaged": ("damaged answers from this unit alone", "只有该从站的应答受损"),
    "noise": ("damaged answers from units at random", "各从站的应答随机受损"),
    "ringing": ("wrong bits as reflections make them", "位错误呈反射特征"),
    "wrong-answers": ("answers to other questions", "答非所问"),
    "unreachable": ("the host cannot be reached", "主机不可达"),
    "refused": ("the host refuses the connection", "主机拒绝连接"),
    "one-socket": ("the host takes no further connection", "主机不再接受连接"),
}

#: What may be behind it, and what to do about it.
CAUSES: Mapping[str, tuple[Two, Two]] = {
    "no-power": (("no power, or the cable is open", "没有供电或线路断开"), ("measure the supply at the terminals (24 V or 12 V) and follow the cable", "在端子上量供电电压（24 V 或 12 V），并检查线缆")),
    "swapped-unit": (("A and B swapped at the unit", "该设备的 A、B 接反"), ("swap A and B at this unit", "把该设备的 A、B 对调")),
    "swapped-line": (("A and B swapped at the gateway", "网关处 A、B 接反"), ("swap A and B at the gateway's adaptor", "把网关转换器上的 A、B 对调")),
    "address": (("another address than configured", "设备地址与配置不符"), ("read the address switch, or look for it: edge-gateway scan", "查看地址拨码，或用 edge-gateway scan 查找")),
    "baud": (("another baud rate, or a clock that runs wrong", "波特率不一致或设备时钟偏差"), ("compare the baud rate at the device, or try: edge-gateway scan", "核对设备波特率，或用 edge-gateway scan 试探")),
    "parity": (("another parity or number of stop bits", "校验位或停止位不一致"), ("compare parity and stop bits at the device (8N1, 8E1, 8N2)", "核对设备的校验位和停止位（8N1、8E1、8N2）")),
    "termination": (("missing 120 Ω at an end of the line, reflections", "线路末端缺少 120 Ω 终端电阻，信号反射"), ("measure about 60 Ω between A and B with all power off; fit 120 Ω at both ends only", "断电后量 A、B 间应约 60 Ω；只在两端各装 120 Ω")),
    "stub": (("long stubs or a star instead of one line", "分支过长或星形接线"), ("wire from device to device, stubs below 1 m", "改为手拉手接线，分支不超过 1 m")),
    "duplicate": (("two devices with the same address", "两台设备地址相同"), ("take one device off the line at a time and ask again; give each its own address", "逐台断开设备后再读；为每台设备设不同地址")),
    "noise": (("disturbance, such as a motor, drive or contactor near the cable", "干扰，如电缆靠近电机、变频器或接触器"), ("compare the noisy hours with what runs then; move the cable away, use shielded pair earthed at one end", "对照受扰时段有哪些设备运行；让电缆远离，采用单端接地的屏蔽双绞线")),
    "bias": (("no bias (fail-safe) on the line, so that it floats", "线路缺少偏置电阻，空闲电平漂移"), ("switch on the adaptor's bias, or fit 560 Ω from A to +5 V and from B to ground, at one place", "打开转换器的偏置，或只在一处装偏置电阻（A 接 +5 V、B 接地，各 560 Ω）")),
    "switching": (("the adaptor switches its direction too early or too late", "转换器收发切换过早或过晚"), ("try another adaptor, one with automatic direction", "换用自动收发切换的转换器")),
    "short-circuit": (("a short circuit between A and B", "A、B 短路"), ("measure the resistance between A and B with all power off: it must not be near 0 Ω", "断电后量 A、B 间电阻，不应接近 0 Ω")),
    "cable": (("the cable is open near the gateway", "靠近网关处断线"), ("check the first metres of cable and the terminals", "检查靠近网关的线缆和端子")),
    "loose": (("a loose contact, or a supply that dips", "接触不良或供电跌落"), ("tighten the terminals, measure the supply while it fails", "紧固端子，并在故障时量供电电压")),
    "echo": (("the adaptor hears itself", "转换器收到自己的发送"), ("switch off the adaptor's echo (receiver on while sending)", "关闭转换器的回波（发送时接收）")),
    "foreign": (("a second master, such as a PLC or another gateway", "另有主站，如 PLC 或其他网关"), ("find it and take it off this line, or listen only: edge-gateway scan --passive", "找到并断开它，或仅监听：edge-gateway scan --passive")),
    "late": (("the time-out is too short for this unit", "超时设置对该设备太短"), ("raise timeout_s of the bus", "加大该总线的 timeout_s")),
    "slow": (("the device is overloaded or slow", "设备过载或响应慢"), ("ask it less often (interval_s), or raise timeout_s", "降低读取频率（interval_s）或加大 timeout_s")),
    "gateway-unit": (("wrong unit number behind the gateway, or its serial side is set wrong", "网关后面的从站号错误，或其串口设置错误"), ("compare unit number, baud rate and parity in the gateway's own page", "在该网关的页面核对从站号、波特率和校验位")),
    "gateway": (("the gateway mixes up its answers", "网关应答错乱"), ("raise its time-out above the devices', update its firmware", "把网关超时设得大于设备响应时间，或升级固件")),
    "two-clients": (("two clients share the gateway and it cannot keep them apart", "两个客户端共用网关而网关无法区分"), ("let only one client ask it", "只保留一个客户端")),
    "unreachable": (("wrong address, no cable, or no power at the host", "地址错误、网线未接或主机断电"), ("ping it, check address, cable and power", "ping 该主机，检查地址、网线和供电")),
    "refused": (("nothing listens at that port", "该端口没有服务"), ("check the port (502) and that Modbus TCP is switched on", "检查端口（502），并确认已启用 Modbus TCP")),
    "one-socket": (("the device takes one connection only, and another client holds it", "设备只允许一个连接，已被其他客户端占用"), ("close the other client (SCADA, phone app), or let it read from this gateway", "关闭其他客户端（组态软件、手机应用），或改由本网关转发")),
    "firewall": (("a firewall in between", "中间有防火墙"), ("allow the port in the firewall", "在防火墙中放行该端口")),
    "not-modbus": (("another service at that port", "该端口是其他服务"), ("check the port", "核对端口")),
    "restarting": (("the host restarts again and again", "主机反复重启"), ("look at the host's own log and supply", "查看主机的日志和供电")),
}  # fmt: skip


def short(code: str, language: str = "en") -> str:
    """What is seen, in a few words."""
    return CODES[code][language == "zh"]


def causes(names: Sequence[str], language: str = "en") -> list[str]:
    """What may be behind it, likeliest first."""
    return [CAUSES[name][0][language == "zh"] for name in names]


def next_step(names: Sequence[str], language: str = "en") -> str:
    """What to do about the likeliest cause; empty if there is none."""
    return CAUSES[names[0]][1][language == "zh"] if names else ""


def steps(names: Sequence[str], language: str = "en") -> list[str]:
    """What to do about each cause, in their order."""
    return [CAUSES[name][1][language == "zh"] for name in names]


#: Figures worth showing, and how they are called.
_FIGURES: Mapping[str, Two] = {
    "asked": ("asked", "询问"),
    "answered": ("answered", "应答"),
    "silent": ("no answer", "无应答"),
    "damaged": ("damaged", "受损"),
    "late": ("late", "迟到"),
    "padded": ("with stray bytes", "带多余字节"),
    "refused": ("refused", "拒绝"),
    "busy": ("busy", "忙"),
    "echoes": ("echoes", "回波"),
    "strange": ("unasked", "未询问而收到"),
    "second_answers": ("second answers", "第二个应答"),
    "longer_than_one_answer": ("longer than one answer", "超过一个应答的长度"),
    "parity_errors": ("parity errors", "校验位错误"),
    "framing_errors": ("framing errors", "帧错误"),
    "foreign_frames": ("foreign frames", "外来帧"),
    "foreign_units": ("of foreign units", "外来从站"),
    "slowest_ms": ("slowest, ms", "最慢（毫秒）"),
    "timeout_ms": ("time-out, ms", "超时（毫秒）"),
    "opened": ("connections", "连接"),
    "closed_at_once": ("closed at once", "立即被关闭"),
    "unreachable": ("unreachable", "不可达"),
    "located_bits": ("wrong bits located", "定位到的错误位"),
    "behind_a_change": ("right behind a change of level", "紧跟电平变化"),
}


def evidence(figures: Mapping[str, Any], language: str = "en") -> str:
    """What was counted, but for zeros: ``asked 256 · damaged 41``."""
    shown = [(_FIGURES[name][language == "zh"], figures[name]) for name in _FIGURES if figures.get(name)]
    return " · ".join(f"{name} {value:g}" for name, value in shown)
