"""Secrets come from files and systemd credentials; what is wrong with one is said without showing it."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_gateway.errors import ConfigError
from edge_gateway.links.secret import read_secret


def test_a_file_and_a_credential(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("s3cret\r\n")
    assert read_secret(str(tmp_path / "token"), key="k") == "s3cret"
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert read_secret("token", key="k") == "s3cret"


@pytest.mark.parametrize("content", [b"", b"\n", b"two\nlines", b"\xff\xfe", b"x" * 70_000, b"nul\x00"])
def test_what_is_no_secret(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "token"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_secret(str(path), key="sinks.x.token_file")
    assert "sinks.x.token_file" in str(caught.value)
    assert "lines" not in str(caught.value.why).replace("more than one line", "")


def test_a_missing_one_names_where_to_put_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"sinks\.x\.token_file: cannot read the secret .* \(No such file"):
        read_secret(str(tmp_path / "none"), key="sinks.x.token_file")
