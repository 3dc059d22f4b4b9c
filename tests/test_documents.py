"""Holds the documents to what is true: commands that something runs, links that resolve, nothing of the author's machine."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import tomllib
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
READMES = ("README.md", "README.zh-CN.md")
COMMANDS: list[dict[str, Any]] = tomllib.loads((ROOT / "tests/readme_commands.toml").read_text("utf-8"))["command"]
LINES_BEFORE_THE_FIRST_COMMAND = 80  # two screens

_BLOCK = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
_HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*$", re.MULTILINE)
_ANCHOR = re.compile(r"<a\s+(?:id|name)=\"([^\"]+)\"")

# Put together from halves, so that this file does not hold what it looks for.
FORBIDDEN = {
    "a path of the author's machine": rf"(^|[^A-Za-z0-9_.-])/({'wo'}rk|{'fa'}rm)/[a-z]|/{'ro'}ot/|\.{'py'}env|/opt/({'wh'}eels|{'py'}pi)",
    "a folder that a stranger does not have": rf"\.\./{'sha'}red|/tmp/{'te'}am",
    "an address of a registry": rf"{'py'}pi\.org|{'python'}hosted\.org|registry\.{'np'}mjs|registry *= *.?https?:",
    "an option that names an index": rf"({'index'}-url|{'find'}-links)[ =]+\S*/",
}


def tracked() -> list[Path]:
    """Every file under version control, relative to the root, that exists and is text."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout
    paths = [Path(os.fsdecode(name)) for name in listed.split(b"\0") if name]
    return [path for path in paths if (ROOT / path).is_file() and b"\0" not in (ROOT / path).read_bytes()[:8192]]


def command_lines(text: str) -> list[str]:
    """Every command of the ```sh blocks, in order; comments dropped, continued lines joined."""
    found = []
    for language, body in _BLOCK.findall(text):
        if language in ("sh", "bash", "shell", "console"):
            joined = body.replace("\\\n", " ")
            lines = (line.split("  #")[0].strip().removeprefix("$ ") for line in joined.splitlines())
            found += [" ".join(line.split()) for line in lines if line and not line.startswith("#")]
    return found


def links(text: str) -> list[str]:
    """The targets of every link and picture outside code."""
    prose = re.sub(r"`[^`\n]*`", "", _BLOCK.sub("", text))
    return [target for target in _LINK.findall(prose) if not re.match(r"[a-z][a-z0-9+.-]*:", target)]


def anchors(text: str) -> set[str]:
    """The anchors of a page as the forges make them from headings."""
    found = set(_ANCHOR.findall(text))
    for heading in _HEADING.findall(_BLOCK.sub("", text)):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
        kept = (c for c in plain if c in " -_" or unicodedata.category(c)[0] in "LNM")
        found.add("".join(kept).replace(" ", "-"))
    return found


def broken_links(page: Path, text: str, root: Path = ROOT) -> Iterator[str]:
    """Every relative link of a page that leads nowhere, as a sentence."""
    for target in links(text):
        path, _, anchor = target.partition("#")
        file = (root / page.parent / path).resolve() if path else root / page
        if not file.exists():
            yield f"{page}: {target}: there is no {path}"
        elif anchor and file.suffix == ".md" and anchor.lower() not in anchors(file.read_text("utf-8")):
            yield f"{page}: {target}: no heading makes this anchor"


# -- commands ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("readme", READMES)
def test_every_command_in_a_readme_is_run_by_something(readme: str) -> None:
    listed = {command["line"] for command in COMMANDS}
    unknown = [line for line in command_lines((ROOT / readme).read_text("utf-8")) if line not in listed]
    assert not unknown, (
        f"{readme} shows commands that nothing runs; run them and list them in tests/readme_commands.toml"
    )


def test_both_readmes_show_the_same_commands_in_the_same_order() -> None:
    english, chinese = (command_lines((ROOT / readme).read_text("utf-8")) for readme in READMES)
    assert english == chinese


@pytest.mark.parametrize("readme", READMES)
def test_a_readme_shows_its_first_command_within_two_screens(readme: str) -> None:
    before, fence, _ = (ROOT / readme).read_text("utf-8").partition("```sh")
    assert fence, f"{readme} shows no command"
    assert before.count("\n") <= LINES_BEFORE_THE_FIRST_COMMAND


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: str(command["line"]))
def test_a_listed_command_is_shown_and_really_run(command: dict[str, Any]) -> None:
    shown = command_lines((ROOT / READMES[0]).read_text("utf-8"))
    assert command["line"] in shown, "listed in tests/readme_commands.toml, but the README no longer shows it"
    if command.get("run"):
        _run(command)
    else:
        _named(command["shown_by"], command["line"])


def _run(command: dict[str, Any]) -> None:
    path = f"{ROOT / '.venv/bin'}:{os.environ['PATH']}"
    done = subprocess.run(
        command["line"],
        shell=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == command.get("exit", 0), done.stdout + done.stderr
    assert command.get("prints", "") in done.stdout + done.stderr


def _named(shown_by: str, line: str) -> None:
    file, _, name = shown_by.partition("::")
    text = (ROOT / file).read_text("utf-8")
    if not name:
        assert line in text, f"{file} does not run {line!r}"
        return
    names = {
        node.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert name in names, f"{file} has no {name}"


def test_ci_runs_the_readmes_test_command_and_nothing_else() -> None:
    lines = (ROOT / ".ci/run").read_text("utf-8").splitlines()
    acts = [line for line in lines if line and not line.startswith(("#", "set ", "cd "))]
    assert len(acts) == 1
    command = acts[0].removeprefix("exec ").removesuffix(" </dev/null")
    assert command in command_lines((ROOT / READMES[0]).read_text("utf-8"))


def test_the_makefile_has_every_target_that_is_promised() -> None:
    promised = "setup demo test check bench truth killloop powercut outage guard clean"
    asked = subprocess.run(
        ["make", "--dry-run", "--always-make", *promised.split()], cwd=ROOT, check=False, capture_output=True
    )
    assert asked.returncode == 0, asked.stderr.decode()


# -- links and texts ---------------------------------------------------------------------------------------------------


def test_every_link_in_a_document_resolves() -> None:
    pages = [path for path in tracked() if path.suffix == ".md"]
    found = [sentence for page in pages for sentence in broken_links(page, (ROOT / page).read_text("utf-8"))]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_tracked_file_holds(what: str) -> None:
    pattern = re.compile(FORBIDDEN[what])
    found = [
        f"{path}:{number}: {line.strip()[:120]}"
        for path in tracked()
        for number, line in enumerate((ROOT / path).read_text("utf-8", errors="replace").splitlines(), 1)
        if pattern.search(line)
    ]
    assert not found, f"{what}:\n" + "\n".join(found)


@pytest.mark.parametrize("lock", ["runtime", "demo", "build", "dev"])
def test_a_lock_pins_every_requirement_with_hashes_and_names_no_address(lock: str) -> None:
    text = (ROOT / f"requirements/{lock}.txt").read_text("utf-8").replace("\\\n", " ")
    for line in text.splitlines():
        assert re.match(r"^[A-Za-z0-9._-]+(\[[\w,-]+\])?==\S+( ; .+?)?(\s+--hash=sha256:[0-9a-f]{64})+\s*$", line), line
    assert "://" not in text


def test_the_locks_agree_on_every_version() -> None:
    versions: dict[str, set[str]] = {}
    for lock in ("runtime", "demo", "dev"):
        for name, version in re.findall(
            r"^([\w.-]+)==(\S+)", (ROOT / f"requirements/{lock}.txt").read_text(), re.MULTILINE
        ):
            versions.setdefault(name, set()).add(version)
    assert not {name: found for name, found in versions.items() if len(found) > 1}


# -- planted faults: the checks above must catch each ------------------------------------------------------------------


def test_commands_are_found_in_blocks_with_comments_and_continued_lines() -> None:
    text = "```sh\n# first\nmake demo  # a minute\n$ edge-gateway \\\n    check\n```\n```toml\nmake = 1\n```\n"
    assert command_lines(text) == ["make demo", "edge-gateway check"]


def test_a_planted_broken_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "there.md").write_text("# A heading, with `code`\n\n## 中文 标题\n")
    good = (
        "[a](there.md) [b](there.md#a-heading-with-code) [c](https://example.org/x) [d](there.md#中文-标题) `[no](no)`"
    )
    assert list(broken_links(Path("page.md"), good, tmp_path)) == []
    bad = "[a](gone.md) [b](there.md#gone) ![c](gone.png)"
    assert len(list(broken_links(Path("page.md"), bad, tmp_path))) == 3


@pytest.mark.parametrize(
    "text", [f"cd /{'wo'}rk/main", f"see ../{'sha'}red/x", f"https://{'py'}pi.org/simple", f"--{'find'}-links=/x"]
)
def test_planted_traces_of_a_machine_are_found(text: str) -> None:
    assert any(re.search(pattern, text) for pattern in FORBIDDEN.values())
