"""Each file under firmware_configs/ names what it feeds, claims no more than it knows, and holds no secret."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "firmware_configs"
FILES = sorted(path for path in FOLDER.rglob("*") if path.is_file())
FEEDS = re.compile(r"^(?:#|<!--) feeds: ([a-z0-9-]+(?:/[a-z0-9-]+)?)(?: -->)?$", re.MULTILINE)
HEAD_LINES = 4
PARAMETER_SETS = sorted((FOLDER / "modbus").glob("*.toml"))


def relative(path: Path) -> str:
    return str(path.relative_to(FOLDER))


def feeds(text: str) -> list[str]:
    return FEEDS.findall("\n".join(text.splitlines()[:HEAD_LINES]))


def unknown(names: list[str], drivers: Path) -> list[str]:
    """Those names that are neither `gateway` nor a profile in drivers/."""
    return [name for name in names if name != "gateway" and not (drivers / f"{name}.toml").is_file()]


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_names_an_existing_profile(path: Path) -> None:
    names = feeds(path.read_text())
    assert names, f"{relative(path)} does not say in its first {HEAD_LINES} lines what it feeds"
    assert unknown(names, ROOT / "drivers") == []


def test_a_profile_that_does_not_exist_is_caught() -> None:
    assert unknown(feeds("# feeds: gateway\n# feeds: nobody/nothing\n"), ROOT / "drivers") == ["nobody/nothing"]
    assert feeds("settings without a head\n") == []


def test_parameter_sets_are_named_after_their_profile() -> None:
    assert len(PARAMETER_SETS) >= 5
    for path in PARAMETER_SETS:
        assert feeds(path.read_text()) == [path.stem.replace("-", "/", 1)]


def test_what_nobody_tried_says_so() -> None:
    for name in ("raspberry-pi/config.txt", "tasmota/ds18b20.txt", "zigbee2mqtt/configuration.yaml"):
        assert "unverified" in (FOLDER / name).read_text(), name


def test_no_password_is_shipped() -> None:
    for path in FILES:
        for line in path.read_text().splitlines():
            value = re.search(r"(?i)(?:\bpassword:|MqttPassword|WebPassword)\s+(\S+)", line)
            assert value is None or value[1].startswith(("<", "'!secret", "!secret")), f"{relative(path)}: {line}"


def commands(text: str) -> dict[str, str]:
    """A Tasmota console set as command -> parameter, Backlog lines taken apart."""
    out: dict[str, str] = {}
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        for part in line.removeprefix("Backlog ").split("; "):
            name, _, parameter = part.partition(" ")
            assert name not in out, f"{name} twice"
            out[name] = parameter
    return out


def test_the_tasmota_set_gives_zoned_times_and_nothing_retained() -> None:
    found = commands((FOLDER / "tasmota/ds18b20.txt").read_text())
    assert re.fullmatch(r"[+-]\d\d:\d\d", found["Timezone"])
    assert (found["SetOption52"], found["SensorRetain"], found["FullTopic"]) == ("1", "0", "%prefix%/%topic%/")
    assert 10 <= int(found["TelePeriod"]) <= 3600


def test_the_shell_script_parses() -> None:
    result = subprocess.run(
        ["sh", "-n", str(FOLDER / "raspberry-pi/spare-the-card.sh")], capture_output=True, check=False
    )
    assert (result.returncode, result.stderr) == (0, b"")
