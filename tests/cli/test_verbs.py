"""What every verb has in common: help, languages, exit codes, formats; in this process where no gateway is needed."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edge_gateway.cli.main import (
    BUSY,
    CONFIG,
    INTERRUPTED,
    NO,
    NO_ANSWER,
    NO_NETWORK,
    NOT_PERMITTED,
    OK,
    USAGE,
    VERBS,
    WARNINGS,
    run,
)
from edge_gateway.cli.verbs import config_file, state_folder
from edge_gateway.cli.words import span
from edge_gateway.journal.files import DiskFiles
from edge_gateway.links.serial import open_port
from edge_gateway.web.chinese import SENTENCES, chinese
from edge_gateway.web.chinese_usage import USAGE as USAGE_SENTENCES
from tests.cli.site import PACK, PROGRAM, config_text
from tests.servers.serial_line import SocatPair

SCREEN_LINES, SCREEN_COLUMNS = 48, 100
STEPS = ("list", "show", "ack", "correct", "submit", "return", "close", "withdraw", "open")
NESTED = [("violations", verb) for verb in STEPS] + [("people", verb) for verb in ("list", "add", "remove")] + [
    ("quarantine", verb) for verb in ("list", "retry", "drop")
]
NESTED += [("drivers", verb) for verb in ("list", "show", "test", "new")]
NESTED += [("inbox", verb) for verb in ("list", "add", "ignore")]
NESTED += [("provision", verb) for verb in ("diff", "apply", "verify")]
NESTED += [("doctor", "bus")]
NESTED += [("journal", "verify"), ("journal", "recompute"), ("journal", "gaps"), ("journal", "availability"), ("journal", "export"), ("journal", "prove"), ("signer", "run"), ("signer", "key")]
PATHS = [(), *((verb,) for verb in VERBS), *NESTED]
REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sound configuration in a folder of its own, found through the environment."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG", "EDGE_GATEWAY_LANG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("EDGE_GATEWAY_CONFIG", str(tmp_path / "gateway.toml"))
    monkeypatch.setenv("EDGE_GATEWAY_STATE_DIR", str(tmp_path / "state"))
    (tmp_path / "gateway.toml").write_text(config_text(9), encoding="utf-8")
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "house.toml").write_text(PACK, encoding="utf-8")
    return tmp_path


# --- help ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_help_fits_a_screen_and_begins_with_examples(
    path: tuple[str, ...], lang: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["--lang", lang, *path, "--help"]) == 0
    text = capsys.readouterr().out
    lines = text.splitlines()
    assert len(lines) <= SCREEN_LINES + (0 if path else 12), "the root has a line for each verb"
    assert max(map(len, lines)) <= SCREEN_COLUMNS
    if path == ("demo",):
        return  # its own author's
    assert lines[2] == ("示例:" if lang == "zh" else "Examples:")
    assert lines[3].startswith("  ")
    if lang == "zh" and path:
        assert re.search("[\u4e00-\u9fff]", text.partition("示例")[2])


def test_every_command_in_help_is_one_that_exists(capsys: pytest.CaptureFixture[str]) -> None:
    for path in PATHS:
        run([*path, "--help"])
        for verb, second in re.findall(r"edge-gateway ([a-z]+)(?: ([a-z]+))?", capsys.readouterr().out):
            assert verb in VERBS
            if verb in ("violations", "people", "quarantine", "provision", "drivers") and second:
                assert (verb, second) in NESTED


def test_languages(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def said(*arguments: str) -> str:
        run(list(arguments))
        return capsys.readouterr().err

    assert "no gateway answers" in said("status")
    assert "没有网关应答" in said("--lang", "zh", "status")
    assert "没有网关应答" in said("status", "--lang=zh")
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert "没有网关应答" in said("status")
    assert "no gateway answers" in said("status", "--lang", "en")


@pytest.mark.parametrize(("verb", "zh"), [("extend", "期限由监管端延长"), ("refer", "移送由监管端办理"), ("verify", "监管端为")])
def test_a_step_that_the_hub_takes_is_said_to_be_the_hub_s(verb: str, zh: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--lang", "zh", "violations", verb, "tlf-007-1", "--reason", "x"]) == USAGE
    assert zh in capsys.readouterr().err
    assert run(["--lang", "en", "violations", verb, "tlf-007-1"]) == USAGE
    assert f"`regulator-hub violations {verb} ID" in capsys.readouterr().err


@pytest.mark.parametrize("path", [(), ("violations",), ("rules", "explain"), ("demo",)], ids=" ".join)
def test_help_in_chinese_has_no_headings_of_clicks_own(path: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--lang", "zh", *path, "--help"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("用法：")
    assert "选项:" in said
    assert "显示本说明" in said
    for english in ("Usage", "Options:", "Show this message", "Commands:"):
        assert english not in said


@pytest.mark.parametrize(
    ("arguments", "zh"),
    [
        (["rules", "explain"], "缺少参数 'RULE'。"), (["violations", "nix"], "没有命令“nix”"), (["read", "--nix"], "没有选项“--nix”"),
        (["demo", "--speed", "x"], "'--speed' 的值无效：“x”不是数字。"), (["status", "y"], "多余的参数（y）"),
        (["read"], "请写测点"), (["violations", "ack", "x-1"], "缺少选项 '--reason'"),
    ],
)  # fmt: skip
def test_wrong_usage_is_said_in_the_readers_language(arguments: list[str], zh: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--lang", "zh", *arguments]) == USAGE
    said = capsys.readouterr().err
    assert zh in said
    assert "错误：" in said
    assert "Error" not in said
    assert run(["--lang", "en", *arguments]) == USAGE
    assert "Error: " in capsys.readouterr().err


def test_a_user_without_a_home_has_the_systems_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's or a service's user of whom there is no account."""

    def nobody(uid: int) -> None:
        raise KeyError(uid)

    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "STATE_DIRECTORY", "EDGE_GATEWAY_CONFIG", "EDGE_GATEWAY_STATE_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.geteuid", lambda: 54_321)
    monkeypatch.setattr("pwd.getpwuid", nobody)
    assert (config_file(), state_folder()) == (Path("/etc/edge-gateway/gateway.toml"), Path("/var/lib/edge-gateway"))
    monkeypatch.setenv("XDG_STATE_HOME", "/srv/state")
    if not Path("/var/lib/edge-gateway").is_dir():
        assert state_folder() == Path("/srv/state/edge-gateway")


def test_chinese_names_what_the_english_sentence_names() -> None:
    for english, words in (*SENTENCES, *USAGE_SENTENCES):
        named = re.findall(r"\{(\d?)\}", words)
        assert len(named) in (english.count("{}"), 0), english
        assert all(not index or int(index) < english.count("{}") for index in named), english
    assert chinese("no bus 'x'") == "没有总线“x”"
    assert chinese("something else") == "something else"


# --- exit codes ---------------------------------------------------------------------------------------------------


def test_exit_codes_are_the_documented_ones() -> None:
    page = (REPOSITORY / "docs/reference/cli.md").read_text(encoding="utf-8")
    documented = {int(number) for number in re.findall(r"^\| `(\d+)` \|", page, re.MULTILINE)}
    ours = {OK, NO, USAGE, WARNINGS, NO_ANSWER, NO_NETWORK, NOT_PERMITTED, BUSY, CONFIG, INTERRUPTED}
    assert documented == ours


def test_no_and_usage(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["status"]) == 1
    assert run(["violations", "list"]) == 1
    assert run(["nonsense"]) == 2
    assert run(["read"]) == 2
    assert run(["read", "--bus", "plc"]) == 2
    assert run(["violations", "ack", "x"]) == 2  # a reason is not left out
    assert run(["check", "--format", "xml"]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_strict_makes_warnings_fatal(folder: Path) -> None:
    assert run(["check"]) == 0
    assert run(["check", "--strict"]) == 3


def test_no_answer(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["read", "cold1-air"]) == 4  # nothing listens on port 9
    assert capsys.readouterr().err.startswith("error  ")


def test_not_permitted(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", "/sys/gateway.toml"]) == 6  # even root may not
    assert "cannot write" in capsys.readouterr().err


def test_busy(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "state").mkdir()
    (folder / "state" / "lock").touch()
    lock = DiskFiles().lock(folder / "state" / "lock")
    try:
        assert run(["read", "cold1-air"]) == 7
    finally:
        lock.close()
    assert "holds the ports" in capsys.readouterr().err
    assert run(["read", "cold1-air"]) == 4


def test_busy_port(folder: Path, serial_pair: SocatPair, capsys: pytest.CaptureFixture[str]) -> None:
    text = config_text(9).replace(
        'kind = "tcp"\nhost = "127.0.0.1"\nport = 9', f'kind = "rtu"\nport = "{serial_pair.a}"'
    )
    (folder / "gateway.toml").write_text(text, encoding="utf-8")
    held = open_port(str(serial_pair.a), baud=9600, parity="N", stopbits=1)
    try:
        assert run(["read", "cold1-air"]) == 7
    finally:
        held.close()
    assert "error  " in capsys.readouterr().err
    assert run(["read", "cold1-air"]) == 4  # now it is free, and nobody answers


def test_interrupted(folder: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        text = config_text(port).replace("timeout_s = 1.0", "timeout_s = 60.0")
        (folder / "gateway.toml").write_text(text, encoding="utf-8")
        asking = subprocess.Popen([str(PROGRAM), "read", "cold1-air"], stderr=subprocess.PIPE)
        silent.settimeout(20)
        connection, _ = silent.accept()
        assert connection.recv(64)  # it has asked, and waits
        said = None
        for _ in range(5):  # a signal between Python's look for signals and its wait is seen at the next one only
            asking.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                _, said = asking.communicate(timeout=4)
                break
        assert said is not None, "an interrupt does not end it"
        connection.close()
    assert (asking.returncode, b"Traceback" in said) == (130, False)


# --- init, check, schema ------------------------------------------------------------------------------------------


def test_init_never_overwrites(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "new" / "gateway.toml"
    assert run(["init", str(target)]) == 0
    sample = (REPOSITORY / "src/edge_gateway/gateway.toml").read_text(encoding="utf-8")
    assert target.read_text(encoding="utf-8") == sample
    target.write_text("mine", encoding="utf-8")
    assert run(["init", str(target)]) == 1
    assert run(["init", str(target.parent)]) == 1
    assert target.read_text(encoding="utf-8") == "mine"
    capsys.readouterr()


def test_what_init_writes_is_sound(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["init", str(tmp_path)])
    assert run(["check", "--config", str(tmp_path / "gateway.toml"), "--state", str(tmp_path)]) == 0
    capsys.readouterr()


def test_check_names_the_file_that_won(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = folder / "drivers" / "generic"
    own.mkdir(parents=True)
    text = (REPOSITORY / "drivers/generic/xy-md02.toml").read_text(encoding="utf-8")
    (own / "xy-md02.toml").write_text(text, encoding="utf-8")
    assert run(["check"]) == 0
    out = capsys.readouterr().out
    assert f"drivers/generic/xy-md02  {own / 'xy-md02.toml'}  sha256:" in out
    assert f"rules/house 1.0.0  {folder / 'rules' / 'house.toml'}  sha256:" in out
    assert "house-air -> cold1-air  ≤ -18 °C  (operator's value, unverified)" in out


def test_check_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "--format", "json", "--effective"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["schema"], document["sound"]) == ("edge-gateway/check/1", True)
    assert [item["code"] for item in document["items"]] == ["unused", "no-slack"]
    assert document["buses"]["plc"] == {
        "requests": 3, "round_s": 0.075, "load": 0.375, "slack": 0.625, "silent_unit_s": 1.0,
    }  # fmt: skip
    values = {item["key"]: item for item in document["effective"]}
    assert values["site.id"] == {"key": "site.id", "value": "tlf-007", "origin": f"{folder / 'gateway.toml'}:2"}
    assert values["site.timezone"]["origin"] == "default"


def test_check_for_ci(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = config_text(9).replace('bus = "plc"', 'bus = "pcl"', 1).replace('listen = ""', 'listen = "50%,:x"')
    (folder / "gateway.toml").write_text(text, encoding="utf-8")
    assert run(["check", "--format", "github", "--lang", "zh"]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    where = str(folder / "gateway.toml").replace(":", "%3A")
    assert line.startswith(f"::error file={where},line=15,title=not-permitted::page.listen: ")
    assert '"50%25,:x" is no address' in line


def test_effective_names_each_origin(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "gateway.d").mkdir()
    (folder / "gateway.d" / "50-site.toml").write_text("[buses.plc]\ntimeout_s = 0.7\n", encoding="utf-8")
    (folder / "state" / "gateway.d").mkdir(parents=True)
    (folder / "state" / "gateway.d" / "90-page.toml").write_text('[page]\nlanguage = "en"\n', encoding="utf-8")
    monkeypatch.setenv("EDGE_GATEWAY__JOURNAL__MAX_BYTES", "30%")
    assert run(["check", "--effective"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert f"buses.plc.timeout_s = 0.7    # {folder / 'gateway.d' / '50-site.toml'}:2" in out
    assert f'page.language = "en"    # {folder / "state" / "gateway.d" / "90-page.toml"}:2' in out
    assert 'journal.max_bytes = "30%"    # environment EDGE_GATEWAY__JOURNAL__MAX_BYTES' in out
    assert "clock.hold_s = 86400.0    # default" in out
    assert 'rules.packs = ["house"]' in out[[line.startswith("rules.packs") for line in out].index(True)]


def test_check_is_quick_and_loads_no_port(folder: Path) -> None:
    heavy = [
        "pymodbus",
        "paho",
        "aiohttp",
        "apsw",
        "serial",
        "starlette",
        "uvicorn",
        "influxdb_client",
        "prometheus_client",
    ]
    program = (
        "import sys, time; began = time.perf_counter(); from edge_gateway.cli.main import run; code = run(['check']); "
        f"print(code, time.perf_counter() - began, [name for name in {heavy} if name in sys.modules])"
    )
    took = 9.0
    for _ in range(3):  # the machine may be busy
        last = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
        code, seconds, loaded = last.splitlines()[-1].split(" ", 2)
        assert (code, loaded) == ("0", "[]")
        took = min(took, float(seconds))
        if took < 1.0:
            break
        time.sleep(0.5)
    assert took < 3.0  # seconds, on a busy machine; docs/reference/cli.md has the figure for an idle one


@pytest.mark.parametrize("which", ["config", "profile", "pack"])
def test_schemas(which: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schema", which]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema.get("properties") or schema.get("anyOf")
    if which == "config":
        assert set(schema["properties"]) >= {"site", "buses", "devices", "points", "zones", "sinks"}


def test_spans() -> None:
    assert [span(s) for s in (0.4, 59, 61, 7800, 90_000)] == ["0 s", "59 s", "1 min 1 s", "2 h 10 min", "1 d 1 h"]
