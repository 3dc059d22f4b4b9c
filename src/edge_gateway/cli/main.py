"""The root command: finds verbs, runs one, turns errors into sentences and exit codes."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import click

from edge_gateway import __version__
from edge_gateway.cli.verbs import Context, Option, Worded, global_options, language, reader_language
from edge_gateway.errors import ConfigError, GatewayError, JournalBusy, SinkError, SourceError
from edge_gateway.loading import leave_all

__all__ = ["BUSY", "CONFIG", "NO", "NOT_PERMITTED", "NO_ANSWER", "NO_NETWORK", "OK", "USAGE", "WARNINGS", "Context"]

#: Exit codes, documented in docs/reference/cli.md and tested.
OK, NO, USAGE, WARNINGS, NO_ANSWER, NO_NETWORK, NOT_PERMITTED, BUSY, CONFIG = 0, 1, 2, 3, 4, 5, 6, 7, 78
INTERRUPTED = 130

#: verb -> (module, one line in English, one line in Chinese)
VERBS = {
    "init": ("init", "write a commented configuration (never overwrites)", "写出带注释的配置文件（从不覆盖）"),
    "run": ("run", "run the gateway", "运行网关"),
    "check": ("check", "check the configuration: static, offline", "检查配置：静态、离线"),
    "scan": ("scan", "find what answers on a line or at hosts", "查找线路或主机上的设备"),
    "inbox": ("inbox", "what was found: list, add, ignore", "找到的设备：列出、加入、忽略"),
    "read": ("read", "read one point or unit now", "立即读取一个测点或单元"),
    "watch": ("watch", "a line for each change of points", "测点每次变化输出一行"),
    "status": ("status", "say how the running gateway is", "显示运行状态"),
    "doctor": ("doctor", "say what is wrong and what to do", "诊断问题并给出处理方法"),
    "violations": ("violations", "carry violations from opening to closing", "违规处置：从发现到关闭"),
    "people": ("people", "who has a secret of their own: add, list, remove", "有个人口令的人员：添加、列出、移除"),
    "record": ("record", "lots: intake, processing, dispatch, documents, trace", "批次：进货查验、加工、出场、证照、追溯"),
    "photo": ("photo", "bring a photo for the record, or take one out", "送交写入台账的照片，或取出一张"),
    "calibrate": ("calibrating", "a probe against its reference, before and after", "校准探头：记录校准前后的误差"),
    "phase": ("phasing", "the working day: what is open, sign, go on", "工作日时段：未完成项、签认、进入下一时段"),
    "mark": ("marking", "say that points are worked at: start, extend, end", "标记正在处置的测点：开始、延长、结束"),
    "quarantine": ("quarantine", "what sinks refused: list, retry, drop", "被拒收的数据：列出、重试、丢弃"),
    "provision": ("provision", "a device's own parameters: compare, set, verify", "设备自身参数：对照、设置、复核"),
    "journal": ("journal", "verify the record, recompute it, take evidence out", "核验、重算台账，导出证据包"),
    "rules": ("rules", "rule packs: check, test, explain, print", "规则包：检查、检验、解释、打印卡片"),
    "replay": ("rules_backtest", "judge a record again: the same log, the same outcome", "重放台账：同一台账，同一结果"),
    "drivers": ("drivers", "device profiles: list, show, test, begin one", "设备档案：列出、查看、检验、起草"),
    "backup": ("backup", "copy record and configuration into one file", "把台账与配置备份成一个文件"),
    "restore": ("restore", "lay a backup down: the record goes on in a new epoch", "恢复备份：台账在新纪元中继续"),
    "replace": ("replace", "new hardware, the same gateway", "更换硬件，网关不变"),
    "signer": ("signer", "run the process that signs the record", "运行签名进程"),
    "export": ("export", "export readings from the journal", "从台账导出读数"),
    "schema": ("schema", "print JSON Schemas of the files", "输出各文件的 JSON Schema"),
    "simulate": ("simulate", "one thing goes wrong at a simulated site", "在模拟站点上演一个情景"),
    "demo": ("demo", "a whole site, simulated, in a minute", "一分钟演示：完整的模拟站点"),
}
_EXAMPLES = (
    "edge-gateway demo                          # a whole site, no hardware",
    "edge-gateway init && edge-gateway check --lang zh",
)


class _Root(Worded, click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in VERBS:
            return None
        command: click.Command = importlib.import_module(f"edge_gateway.cli.{VERBS[name][0]}").command
        return command

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Examples first; verbs are listed without importing them, so that --help is quick."""
        chinese = reader_language(ctx) == "zh"
        self.format_usage(ctx, formatter)
        with formatter.section("示例" if chinese else "Examples"):
            for example in _EXAMPLES:
                formatter.write(f"{'':>{formatter.current_indent}}{example}\n")
        with formatter.section("命令" if chinese else "Commands"):
            formatter.write_dl([(name, words[2 if chinese else 1]) for name, words in VERBS.items()])
        self.write_options(ctx, formatter)


def _invoked(ctx: click.Context) -> None:
    if not isinstance(ctx.obj, Context):
        ctx.obj = Context.of({})


cli = _Root(
    "edge-gateway",
    callback=click.pass_context(_invoked),
    params=[*global_options(hidden=False)],
    context_settings={"help_option_names": ["-h", "--help"]},
)
cli = click.version_option(__version__, prog_name="edge-gateway", cls=Option, zh="显示版本")(cli)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point: runs a verb, ends the process with a documented exit code."""
    leave_all()
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a verb; returns the exit code and never a traceback for a foreseen error."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        result: Any = cli.main(args=given, standalone_mode=False)
    except click.ClickException as error:
        _say_usage(error, _language(given))
        return USAGE
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except GatewayError as error:
        say_errors([error], _language(given))
        return exit_code(error)
    except BaseExceptionGroup as group:
        foreseen, others = group.split(GatewayError)
        if others is not None or foreseen is None:
            raise
        errors = list(_leaves(foreseen))
        say_errors(errors, _language(given))
        return exit_code(errors[0])
    except BrokenPipeError:
        sys.stderr.close()
        return OK
    return result if isinstance(result, int) else OK


def _say_usage(error: click.ClickException, language: str) -> None:
    """What is wrong with the command line, and where help is."""
    if language != "zh":
        error.show()
        return
    from edge_gateway.web.chinese import chinese

    said = error.format_message()
    if isinstance(error, click.BadParameter) and error.message:
        said = said.replace(error.message, chinese(error.message))  # a sentence within a sentence
    ctx = error.ctx if isinstance(error, click.UsageError) else None
    if ctx is not None:
        click.echo(f"{ctx.get_usage()}\n查看说明：{ctx.command_path} --help\n", err=True)
    click.echo(f"错误：{chinese(said)}", err=True)


def _language(given: Sequence[str]) -> str:
    """The language asked for anywhere on the command line, for what goes wrong before or after a verb."""
    asked = next((given[i + 1] for i, word in enumerate(given[:-1]) if word == "--lang"), None)
    asked = asked or next((word.partition("=")[2] for word in given if word.startswith("--lang=")), None)
    return language(asked)


def _leaves(group: BaseExceptionGroup[GatewayError]) -> Iterator[GatewayError]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def exit_code(error: GatewayError) -> int:
    """Which exit code an error has."""
    if code := int(getattr(error, "exit_code", 0)):
        return code
    table: list[tuple[type[GatewayError], int]] = [
        (JournalBusy, BUSY),
        (ConfigError, NO),
        (SourceError, NO_ANSWER),
        (SinkError, NO_NETWORK),
    ]
    return next((number for kind, number in table if isinstance(error, kind)), NO)


def say_errors(errors: Sequence[GatewayError], lang: str) -> None:
    """Errors on stderr: where, why, and what to do now on a line of its own."""
    from edge_gateway.web.chinese import chinese

    for error in errors:
        for fault in getattr(error, "faults", None) or [error]:
            for line in sentence(fault, "错误" if lang == "zh" else "error", chinese if lang == "zh" else str):
                click.echo(line, err=True)


def sentence(fault: GatewayError, word: str, words: Any) -> list[str]:
    """``error  file:line  key: why`` and, below it, the hint. ``words`` turns English into the reader's language."""
    where = ""
    if isinstance(fault, ConfigError):
        file = ":".join(part for part in (fault.file, str(fault.line) if fault.line else "") if part)
        where = "  ".join(part for part in (file, f"{fault.key}:" if fault.key else "") if part)
        where += "  " if file and not fault.key else " " if where else ""
    lines = [f"{word}  {where}{words(fault.why)}"]
    return [*lines, f"       {words(fault.hint)}"] if fault.hint else lines
