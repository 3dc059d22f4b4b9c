"""Secrets: beside the configuration, absolute, or systemd credentials; looked into before anything runs, never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_gateway.config.load import ConfigRefused, Loaded, load
from edge_gateway.links.secret import read_secret
from edge_gateway.sinks.hub import HubConfig

SITE = '[site]\nid = "s"\norigin = "example.org/x"\nname_zh = ""\nname_en = ""\n'
HUB = '\n[sinks.hub]\nkind = "hub"\nurl = "https://hub.example.org"\ntoken_file = "{}"\n'


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.chdir(tmp_path)  # what is relative is not relative to where somebody stands


def loaded(folder: Path, name: str, *, running: bool = True) -> Loaded:
    folder.mkdir(exist_ok=True)
    (folder / "gateway.toml").write_text(SITE + HUB.format(name), encoding="utf-8")
    return load(folder / "gateway.toml", running=running)


def token(found: Loaded) -> str:
    sink = found.config.sinks["hub"]
    assert isinstance(sink, HubConfig)
    return read_secret(sink.token_file, key="sinks.hub.token_file")


def secret(file: Path, text: str = "s3cret\n") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    file.chmod(0o600)
    return file


def test_relative_to_the_configuration(tmp_path: Path) -> None:
    secret(tmp_path / "etc" / "secrets" / "hub")
    assert token(loaded(tmp_path / "etc", "secrets/hub")) == "s3cret"


def test_absolute(tmp_path: Path) -> None:
    assert token(loaded(tmp_path / "etc", str(secret(tmp_path / "elsewhere")))) == "s3cret"


def test_a_credential_wins_over_a_file_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret(tmp_path / "etc" / "hub-token", "from the file")
    secret(tmp_path / "credentials" / "hub-token", "from systemd")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    assert token(loaded(tmp_path / "etc", "hub-token")) == "from systemd"
    secret(tmp_path / "etc" / "other", "from the file")
    assert token(loaded(tmp_path / "etc", "other")) == "from the file"


def test_what_is_missing_stops_the_gateway_and_warns_a_person(tmp_path: Path) -> None:
    with pytest.raises(ConfigRefused, match="there is no file") as refused:
        loaded(tmp_path, "hub-token")
    assert (refused.value.key, refused.value.line) == ("sinks.hub.token_file", 10)
    codes = [warning.code for warning in loaded(tmp_path, "hub-token", running=False).warnings]
    assert "no-file" in codes


def test_effective_shows_the_name_and_not_the_secret(tmp_path: Path) -> None:
    from edge_gateway.config.effective import effective

    secret(tmp_path / "hub-token")
    found = loaded(tmp_path, "hub-token")
    values = {path: value for path, value, _ in effective(found.config, found.merged)}
    assert values["sinks", "hub", "token_file"] == "hub-token"
    assert "s3cret" not in str(values)


def test_a_name_that_no_file_can_have_is_a_fault_like_any_other(tmp_path: Path) -> None:
    with pytest.raises(ConfigRefused, match="cannot be read"):
        loaded(tmp_path, "\\u0000")
