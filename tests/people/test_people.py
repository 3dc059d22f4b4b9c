"""Secrets are kept as hashes, files have the right mode, attempts are few, and a wrong name takes as long as a wrong secret."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest

from edge_gateway.people import FILE, NotProven, People, PeopleFault, Person
from edge_gateway.people.hashed import SecretRefused, fits, hashed, mark, sound
from edge_gateway.people.proof import LOCKED_S, MOST_FAILURES, Prover, TooManyAttempts
from edge_gateway.violations import SECRET

LI = Person("李敏", "quality", hashed("correct horse battery"))


@pytest.fixture
def people(tmp_path: Path) -> People:
    found = People(tmp_path)
    found.write([LI])
    return found


def test_a_hash_fits_its_secret_only_and_no_two_are_alike() -> None:
    assert fits("correct horse battery", LI.secret)
    assert not fits("correct horse batterz", LI.secret)
    assert hashed("correct horse battery") != LI.secret
    assert mark(LI.secret) != mark(hashed("correct horse battery"))
    assert "horse" not in LI.secret


@pytest.mark.parametrize("secret", ["", "short", "x" * 257, "two\nlines here", " " * 12])
def test_what_is_no_secret_is_refused(secret: str) -> None:
    with pytest.raises(SecretRefused):
        hashed(secret)


@pytest.mark.parametrize(
    "text", ["", "plain secret", "scrypt$3$8$1$c2FsdHNhbHQ=$" + "A" * 43 + "=", "scrypt$1048576$8$1$c2FsdHNhbHQ=$" + "A" * 43 + "=", "scrypt$16384$8$99$c2FsdHNhbHQ=$" + "A" * 43 + "="]
)  # fmt: skip
def test_no_file_makes_a_proof_without_a_sound_hash(text: str) -> None:
    assert not sound(text)
    assert not fits("anything", text)


def test_the_file_holds_no_secret_and_is_for_its_owner_alone(tmp_path: Path, people: People) -> None:
    path = tmp_path / FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "horse" not in path.read_text(encoding="utf-8")
    assert list(people.all()) == [LI]
    assert People(tmp_path).get(" 李敏 ") == LI
    assert sorted(each.name for each in tmp_path.iterdir()) == [FILE]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o644])
def test_a_file_that_others_may_touch_proves_nobody(tmp_path: Path, people: People, mode: int) -> None:
    assert people.all()
    (tmp_path / FILE).chmod(mode)
    with pytest.raises(PeopleFault, match="chmod 600"):
        people.get("李敏")


@pytest.mark.parametrize(
    "text",
    [
        "person = 3", "[[person]]\nname = 'a'\n", "[[person]]\nname = 'a'\nrole = 'king'\nsecret = 'x'\n", "x = 1", "[[person",
        f"[[person]]\nname = 'a'\nrole = 'quality'\nsecret = '{LI.secret}'\n" * 2,
        "[[person]]\nname = 'a'\nrole = 'quality'\nsecret = 'plain text secret'\n",
    ],
)  # fmt: skip
def test_a_file_that_does_not_read_proves_nobody(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text, encoding="utf-8")
    (tmp_path / FILE).chmod(0o600)
    with pytest.raises(PeopleFault):
        People(tmp_path).all()


def test_no_file_is_nobody_and_a_changed_file_is_read_anew(tmp_path: Path) -> None:
    people = People(tmp_path)
    assert list(people.all()) == []
    people.write([LI])
    other = People(tmp_path)
    other.write([])
    assert people.get("李敏") is None
    other.write([LI])
    (tmp_path / FILE).unlink()
    assert list(people.all()) == []


@pytest.mark.parametrize("name", ["", " a", "a\n", 'a"', "a\\", "x" * 65])
def test_what_is_no_name_is_refused(people: People, name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        people.write([Person(name, "quality", LI.secret)])
    with pytest.raises(ValueError, match="role"):
        people.write([Person("a", "king", LI.secret)])
    with pytest.raises(ValueError, match="once"):
        people.write([LI, LI])


async def test_whoever_has_the_secret_is_proven(people: People) -> None:
    who = await Prover(people).prove(" 李敏", "correct horse battery", "pi")
    assert (who.name, who.proof, who.user) == ("李敏", SECRET, "pi")
    with pytest.raises(NotProven):
        await Prover(people).prove("王", "correct horse battery", "pi")


async def test_after_a_few_wrong_secrets_nothing_is_looked_at_for_a_while(people: People) -> None:
    now = [0.0]
    prover = Prover(people, lambda: now[0])
    for _ in range(MOST_FAILURES):
        with pytest.raises(NotProven) as told:
            await prover.prove("李敏", "a wrong secret", "pi")
        assert told.value.tried
    for name, user in (("李敏", "somebody"), ("another", "pi")):
        with pytest.raises(TooManyAttempts):
            await prover.prove(name, "correct horse battery", user)
    now[0] = LOCKED_S - 1
    with pytest.raises(TooManyAttempts):
        await prover.prove("李敏", "correct horse battery", "somebody")
    now[0] = LOCKED_S
    assert (await prover.prove("李敏", "correct horse battery", "pi")).proven
    with pytest.raises(NotProven) as told:
        await prover.prove("李敏", "a wrong secret", "pi")
    assert told.value.tried, "it begins anew"


async def test_a_name_that_nobody_has_takes_as_long_as_a_wrong_secret(people: People) -> None:
    """Measured as CPU of the process, three of each; within a factor of two."""
    prover, took = Prover(people), {}
    await prover.prove("李敏", "correct horse battery", "first")
    for name in ("李敏", "nobody at all"):
        began = time.process_time()
        for n in range(3):
            with pytest.raises(NotProven):
                await prover.prove(name, "a wrong secret", f"user {n} {name}")
        took[name] = time.process_time() - began
    assert max(took.values()) < 2 * min(took.values()), took


def test_a_file_of_somebody_else_proves_nobody(tmp_path: Path, people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() == 0:  # root's own file is trusted
        os.chown(tmp_path / FILE, 4321, -1)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(PeopleFault, match="somebody else"):
        people.get("李敏")


def test_a_hash_whose_base64_does_not_read_is_no_hash() -> None:
    assert not sound("scrypt$16384$8$5$=AAAAAAA$" + "A" * 44)
    assert not fits("whatever it may be", "scrypt$16384$8$5$=AAAAAAA$" + "A" * 44)
    assert not sound(hashed("long enough secret 7") + "\n")
