"""What is said of hub commands, in Chinese: sentences only, in the form of ``chinese``; knows no command."""

from __future__ import annotations

COMMANDS: tuple[tuple[str, str], ...] = (
    ("this is no key of commands (type 1): the hub's cosigning key stands there?", "这不是指令公钥（类型 1）：是否误填了监管端的联署公钥？"),
    ("the key that cosigns may not command", "联署公钥不得用于指令"),
    ("the hub makes a key of its own for commands: `regulator-hub command-key` prints it", "监管端另有指令密钥：由 `regulator-hub command-key` 打印"),
    ("write the line that `regulator-hub command-key` prints, or a file with it", "请填写 `regulator-hub command-key` 打印的那一行，或存有它的文件"),
    ("copy the whole line that `regulator-hub command-key` prints", "请完整复制 `regulator-hub command-key` 打印的那一行"),
    ("the key of commands cannot be made in {}: {}", "无法在 {} 生成指令密钥：{}"),
    ("the key of commands may be read by others (mode {})", "指令密钥可被他人读取（权限 {}）"),
    ("the key of commands cannot be read", "指令密钥无法读取"),
    ("there is no key of commands", "没有指令密钥"),
    ("the hub makes it at its start: start it once", "监管端启动时生成：请先启动一次"),
    ("{} commands wait for gateway '{}' already", "已有 {} 条指令等待网关“{}”"),
    ("is the gateway dark? `regulator-hub violations list` shows what waits", "网关是否失联？`regulator-hub violations list` 显示待答复的指令"),
    ("it belongs to the hub's user: run the hub's verbs as that user, `sudo -u regulator-hub`", "它属于监管端用户：请以该用户运行，`sudo -u regulator-hub`"),
    ("the hub knows no violation '{}'", "监管端没有违规“{}”"),
    ("`regulator-hub violations list` shows the open ones", "`regulator-hub violations list` 列出未关闭的违规"),
    ("gateway '{}' never delivered here", "网关“{}”从未上报"),
    ("`regulator-hub gateways` lists who may deliver", "`regulator-hub gateways` 列出已登记的网关"),
    ("the hub does not know by which entry {} was opened", "监管端不知 {} 由哪条记录开启"),
    ("its gateway runs an older release, or that part of its record was declared skipped", "其网关版本较旧，或该段记录已声明不再提供"),
    ("nothing is to be done about it any more", "已无可处置"),
    ("{} is only a notice: it ends by itself, or becomes a violation", "{} 只是预警：会自行结束，或转为违规"),
    ("{} is {}: nothing was submitted", "{} 处于 {}：尚未提交"),
    ("the site submits it first", "须由现场先提交"),
    ("{} is {}: active or unknown never closes", "{} 处于 {}：超限中或未知时不得关闭"),
    ("return it, or wait for good readings", "请退回，或等待有效读数"),
    ("no deadline '{}' runs for {}", "{1} 没有进行中的期限“{0}”"),
    ("a deadline is moved to later only", "期限只能延后"),
    ("--until with a later time", "请以 --until 给出更晚的时间"),
)
