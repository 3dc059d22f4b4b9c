"""Signed packs: what was altered is refused with its place, whatever was altered; and what is whole is taken."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge_gateway.cli.main import run
from edge_gateway.config.load import ConfigRefused, load
from edge_gateway.record.note import ED25519, Key, NoteError, Signature, note_bytes
from edge_gateway.rules.load import read_pack
from edge_gateway.rules.sealed import broken, keys_of, seal_text
from tests.config.test_packs import SITE

RULES = Path(__file__).resolve().parents[2] / "rules"


@pytest.fixture
def signed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[Path, str]:
    """A site with its own signed copy of plant-rooms, and the public key."""
    (tmp_path / "rules").mkdir()
    for suffix in (".toml", ".cases.toml"):
        shutil.copy(RULES / f"plant-rooms{suffix}", tmp_path / "rules")
    config = ["--config", str(tmp_path / "gateway.toml"), "--lang", "en"]
    assert run(["rules", "sign", "plant-rooms", "--key", str(tmp_path / "k"), "--name", "example.org/rules", "--new", *config]) == 0
    return tmp_path, capsys.readouterr().out.strip()


def site(folder: Path, packs: str, more: str) -> Path:
    file = folder / "gateway.toml"
    file.write_text(SITE % packs + more, encoding="utf-8")
    return file


def test_a_whole_pack_is_taken_and_an_unsigned_one_only_where_that_is_permitted(signed: tuple[Path, str]) -> None:
    folder, key = signed
    assert load(site(folder, '"plant-rooms"', f'keys = ["{key}"]\nrequire_signed = true\n')).packs
    assert load(site(folder, '"plant-rooms", "wastewater"', f'keys = ["{key}"]\n')).packs
    with pytest.raises(ConfigRefused, match="not signed") as refused:
        load(site(folder, '"plant-rooms", "wastewater"', f'keys = ["{key}"]\nrequire_signed = true\n'))
    assert refused.value.file.endswith("wastewater.toml")


def test_a_rule_that_moved_comes_out_of_a_signed_pack_or_not_at_all(signed: tuple[Path, str]) -> None:
    folder, key = signed
    with pytest.raises(ConfigRefused) as refused:
        load(site(folder, '"cleaning-water"', f'keys = ["{key}"]\nrequire_signed = true\n'))
    assert [Path(fault.file).name for fault in refused.value.faults] == ["cleaning-water.toml"]
    (folder / "rules/plant-rooms.toml.sig").unlink()
    with pytest.raises(ConfigRefused) as refused:
        load(site(folder, '"cleaning-water"', f'keys = ["{key}"]\nrequire_signed = true\n'))
    assert {Path(fault.file).name for fault in refused.value.faults} == {"cleaning-water.toml", "plant-rooms.toml"}


ALTERED = [
    ('high = "12"', 'high = "15"', "rule 'cutting-room-air' was altered", "cutting-room-air"),
    ('low = "82"', 'low = "60"', "rule 'steriliser-water' was altered", "steriliser-water"),
    ('version = "1.0.0"', 'version = "1.0.1"', "what stands before the first rule was altered", ""),
]


@pytest.mark.parametrize(("old", "new", "why", "rule"), ALTERED)
def test_a_planted_alteration_is_refused_with_its_rule_and_line_asked_for_or_not(
    signed: tuple[Path, str], old: str, new: str, why: str, rule: str
) -> None:
    folder, key = signed
    pack = folder / "rules/plant-rooms.toml"
    text = pack.read_text("utf-8")
    pack.write_text(text.replace(old, new, 1), encoding="utf-8")
    line = text[: text.index(f'id = "{rule}"')].count("\n") if rule else 1
    for more in ("require_signed = true\n", ""):
        with pytest.raises(ConfigRefused, match=why) as refused:
            load(site(folder, '"plant-rooms"', f'keys = ["{key}"]\n{more}'))
        assert (refused.value.file, refused.value.line) == (str(pack), line)


def test_a_rule_added_taken_out_or_put_elsewhere(signed: tuple[Path, str]) -> None:
    folder, key = signed
    loaded, _ = read_pack(folder / "rules/plant-rooms.toml")
    assert loaded is not None
    note, keys = loaded.seal.read_bytes(), keys_of([key])
    lines = loaded.text.splitlines(keepends=True)
    second, third = sorted(loaded.starts.values())[1:3]
    moved = {rule: line - (third - second) for rule, line in loaded.starts.items() if line >= third}
    first = {rule: line for rule, line in loaded.starts.items() if line < second}
    text = "".join(lines[: second - 1] + lines[third - 1 :])
    found = broken(note, keys, "plant-rooms", text, first | moved)
    assert found is not None
    assert "was taken out" in found[0]
    added = loaded.text + '[[rule]]\nid = "mine"\n'
    assert broken(note, keys, "plant-rooms", added, {**loaded.starts, "mine": len(lines) + 1}) == ("rule 'mine' was added after it was signed", len(lines) + 1)
    assert broken(note, keys, "wastewater", loaded.text, loaded.starts) == ("its signature is over pack 'plant-rooms'", 0)


def test_any_one_byte_altered_of_pack_or_note_is_found(signed: tuple[Path, str]) -> None:
    """N = 400 places, seeded."""
    folder, key = signed
    loaded, _ = read_pack(folder / "rules/plant-rooms.toml")
    assert loaded is not None
    note, keys = loaded.seal.read_bytes(), keys_of([key])
    assert broken(note, keys, "plant-rooms", loaded.text, loaded.starts) is None
    rng = random.Random(11)
    for _ in range(200):
        at = rng.randrange(len(loaded.text))
        text = loaded.text[:at] + chr(ord(loaded.text[at]) ^ 1) + loaded.text[at + 1 :]
        assert broken(note, keys, "plant-rooms", text, loaded.starts) is not None
        at = rng.randrange(len(note))
        spoilt = note[:at] + bytes((note[at] ^ 1,)) + note[at + 1 :]
        assert broken(spoilt, keys, "plant-rooms", loaded.text, loaded.starts) is not None, at


def test_another_key_of_the_same_name_signs_nothing(signed: tuple[Path, str]) -> None:
    folder, key = signed
    other = Key("example.org/rules", ED25519, bytes(range(32)))
    with pytest.raises(ConfigRefused, match="not signed by any of the configured keys"):
        load(site(folder, '"plant-rooms"', f'keys = ["{other}"]\n'))
    with pytest.raises(ConfigRefused, match="a letter was lost"):
        load(site(folder, '"plant-rooms"', f'keys = ["{key.replace("+", "+0", 1)}"]\n'))
    with pytest.raises(ConfigRefused, match="by whom"):
        load(site(folder, '"plant-rooms"', "require_signed = true\n"))
    with pytest.raises(NoteError):
        keys_of(["nobody"])


def test_a_note_over_something_else_is_told_apart_from_one_over_another_pack(signed: tuple[Path, str]) -> None:
    folder, _ = signed
    loaded, _ = read_pack(folder / "rules/plant-rooms.toml")
    assert loaded is not None
    private = Ed25519PrivateKey.generate()
    key = Key("example.org/rules", ED25519, private.public_key().public_bytes_raw())

    def why(text: str) -> tuple[str, int] | None:
        note = note_bytes(text, [Signature(key.name, key.id, private.sign(text.encode()))])
        return broken(note, [key], "plant-rooms", loaded.text, loaded.starts)

    whole = seal_text("plant-rooms", "1.0.0", loaded.text, loaded.starts)
    magic, pack, sha256, *_ = whole.splitlines()
    other = ("its signature is over something else, not over a rule pack", 0)
    assert why(whole) is why(f"{magic}\n{pack}\n{sha256}\n") is None, "the hash of the whole file says all"
    assert [why(text) for text in (f"{magic}\n{pack}\n", whole.replace("/1\n", "/2\n", 1), whole.replace("sha256 ", "sha512 "))] == [other] * 3
    assert why(whole.replace("plant-rooms 1", "cold-chain 1")) == ("its signature is over pack 'cold-chain'", 0)
    assert why(f"{magic}\n{pack}\nsha256 0\n") == ("what stands before the first rule was added after it was signed", 1)
    assert broken(b"?", [key], "plant-rooms", loaded.text, loaded.starts) is not None
    unknown = broken(note_bytes(whole, [Signature("else.org/x", key.id, private.sign(whole.encode()))]), [key], "plant-rooms", loaded.text, loaded.starts)
    assert unknown == ("it is not signed by any of the configured keys (signed by else.org/x)", 0)


def test_signing_wants_a_pack_that_passes_and_a_key_of_one_s_own(signed: tuple[Path, str], capsys: pytest.CaptureFixture[str]) -> None:
    folder, key = signed
    args = ["rules", "sign", "plant-rooms", "--key", str(folder / "k"), "--name", "example.org/rules", "--config", str(folder / "gateway.toml"), "--lang", "en"]
    assert run(args) == 0
    assert capsys.readouterr().out.strip() == key, "the same key signs again"
    assert run([*args, "--new"]) != 0, "never overwritten"
    (folder / "k").chmod(0o644)
    assert run(args) != 0
    assert "others may read this key" in capsys.readouterr().err
    (folder / "k").chmod(0o600)
    pack = folder / "rules/plant-rooms.toml"
    pack.write_text(pack.read_text("utf-8").replace('high = "12"', 'high = "15"', 1), encoding="utf-8")
    assert run(args) != 0
    assert "does not do what its cases say" in capsys.readouterr().err


def test_the_text_that_is_signed(signed: tuple[Path, str]) -> None:
    folder, _ = signed
    loaded, _ = read_pack(folder / "rules/plant-rooms.toml")
    assert loaded is not None
    text = seal_text("plant-rooms", "1.0.0", loaded.text, loaded.starts)
    assert text.splitlines()[:3] == ["edge-gateway/rule-pack/1", "plant-rooms 1.0.0", f"sha256 {loaded.sha256}"]
    assert [line.split()[0] for line in text.splitlines()[3:]] == ["-", *loaded.starts]
