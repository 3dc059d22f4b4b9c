"""Coverage-guided fuzzing of every parser that meets foreign bytes: ``make fuzz``; one JSON line at the end, exit 1 on any failure.

``atheris`` (libFuzzer for Python, from ``requirements/fuzz.txt``) runs each target in a process of its own, from the corpus that is
committed, with the product's modules instrumented. Where it has no wheel (aarch64), ``--engine plain`` mutates the corpus
without guidance. New inputs go to ``tests/_out/fuzz/<target>``; ``--keep`` takes what added coverage into the corpus.

As a target's process: python -m tests.fuzz.run --child TARGET STATISTICS [libFuzzer's arguments]
"""

from __future__ import annotations

import argparse
import atexit
import importlib.util
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.servers.process import REPOSITORY

#: See ``tests.fuzz.targets``, which must not be imported here: the child's imports are instrumented.
FOLDER_VARIABLE = "EDGE_GATEWAY_FUZZ_FOLDER"

CORPUS = REPOSITORY / "tests" / "fuzz" / "corpus"
OUT = REPOSITORY / "tests" / "_out" / "fuzz"
#: Executions of each target; one of a Modbus target holds up to four frames.
SHARES = {
    "modbus-tcp": 1.0, "modbus-rtu": 1.0, "modbus-ascii": 0.5, "mqtt-payload": 1.0, "profile": 0.3, "sheet": 0.3,
    "configuration": 0.1, "hub-message": 1.0, "hub-answer": 1.0, "toml": 0.5,
}  # fmt: skip
#: What libFuzzer may generate, in bytes.
LENGTHS = {"profile": 3000, "sheet": 3000, "configuration": 3000, "toml": 600, "hub-message": 600}
#: Most new files that one run may add to a target's corpus.
MOST_KEPT = 40
#: An execution that takes longer is a finding.
TIMEOUT_S = 20


def child(target: str, statistics: Path, arguments: list[str], planted: str = "") -> None:
    """Fuzz one target; never returns."""
    import atheris

    with atheris.instrument_imports(include=["edge_gateway", "orjson"], enable_loader_override=False):
        from tests.fuzz import targets
    stack = ExitStack()  # to the end of this process: what is planted goes with the last reference
    if planted:
        from tests.fuzz import plant

        stack.enter_context(plant.planted(planted))
    run = targets.TARGETS[target]
    counts = {"executions": 0}

    def report() -> None:
        harness = next(iter(targets.HARNESSES.values()), None)
        statistics.write_text(json.dumps(counts | (harness.counts if harness else {})))

    def one(data: bytes) -> None:
        counts["executions"] += 1
        if counts["executions"] % 2000 == 0:
            report()
        try:
            run(data)
        except BaseException:
            report()
            raise

    atexit.register(report)
    atheris.Setup([sys.argv[0], *arguments], one)
    atheris.Fuzz()


def plain(target: str, statistics: Path, runs: int, seed: int) -> int:
    """Mutation without guidance, for machines that atheris has no wheel for."""
    from tests.fuzz import targets

    chance = random.Random(seed)
    corpus = [file.read_bytes() for file in sorted((CORPUS / target).iterdir())] or [b""]
    for _ in range(runs):
        data = mutated(chance, chance.choice(corpus))
        try:
            targets.TARGETS[target](data)
        except Exception as error:  # noqa: BLE001 -- whatever it is, it is the finding
            (OUT / target).mkdir(parents=True, exist_ok=True)
            (OUT / target / f"crash-{abs(hash(data)):x}").write_bytes(data)
            print(f"{target}: {error!r} on {data.hex()}", file=sys.stderr)
            return 1
    harness = next(iter(targets.HARNESSES.values()), None)
    statistics.write_text(json.dumps({"executions": runs} | (harness.counts if harness else {})))
    return 0


def mutated(chance: random.Random, data: bytes) -> bytes:
    """Bytes changed, doubled, lost and added in up to eight places."""
    out = bytearray(data)
    for _ in range(chance.randrange(1, 9)):
        at = chance.randrange(len(out) + 1)
        match chance.randrange(5):
            case 0:
                out[at:at] = chance.randbytes(chance.randrange(1, 6))
            case 1 if out:
                out[at % len(out)] = chance.randrange(256)
            case 2 if out:
                out[at % len(out)] ^= 1 << chance.randrange(8)
            case 3:
                del out[at : at + chance.randrange(1, 6)]
            case _:
                out[at:at] = out[max(0, at - 4) : at]
    return bytes(out)


def fuzz(target: str, runs: int, seed: int, *, engine: str, planted: str = "") -> dict[str, Any]:
    """One target in a process of its own: what was executed, at what rate, and whether it held."""
    found = OUT / (f"planted-{planted}" if planted else target)
    shutil.rmtree(found, ignore_errors=True)
    found.mkdir(parents=True)
    (CORPUS / target).mkdir(parents=True, exist_ok=True)
    statistics = found.with_suffix(".json")
    statistics.unlink(missing_ok=True)
    command = [sys.executable, "-m", "tests.fuzz.run", "--child", target, str(statistics)]
    if engine == "plain":
        command += ["--plain", str(runs), str(seed)]
    else:
        options = [
            str(found), str(CORPUS / target), str(plant_seeds(target)), f"-runs={runs}", f"-seed={seed}", f"-timeout={TIMEOUT_S}",
            f"-max_len={LENGTHS.get(target, 120)}", "-rss_limit_mb=2048", "-print_final_stats=1", "-verbosity=1",
            f"-artifact_prefix={found}/",
        ]  # fmt: skip
        command += [*(["--plant", planted] if planted else []), "--", *options]
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        path = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "src")])
        environment = {**os.environ, "PYTHONPATH": path, FOLDER_VARIABLE: folder}
        done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    took_s = time.monotonic() - began_s
    said = done.stdout + done.stderr
    counts = json.loads(statistics.read_text()) if statistics.exists() else {"executions": 0}
    if executed := re.search(r"stat::number_of_executed_units: (\d+)", said):
        counts["executions"] = int(executed[1])
    coverage = re.findall(r"cov: (\d+)", said)
    if done.returncode:
        print(said[-4000:], file=sys.stderr)
    return {
        "target": target, "held": done.returncode == 0, **counts, "seconds": round(took_s, 1),
        "per_second": round(counts["executions"] / took_s), "edges": int(coverage[-1]) if coverage else None,
        "wrong_accepted": "WrongAccepted" in said,
        "why": "" if done.returncode == 0 else f"exit {done.returncode}: {said.strip()[-300:]}",
    }  # fmt: skip


def keep(target: str) -> int:
    """Take into the corpus what this run found to add coverage, at most MOST_KEPT of each target; how many it then has."""
    found = [file for file in (OUT / target).iterdir() if not file.name.startswith("crash-")]
    found.sort(key=lambda file: file.stat().st_mtime_ns)
    step = max(1, -(-len(found) // MOST_KEPT))
    for file in found[::step]:
        (CORPUS / target / file.name[:16]).write_bytes(file.read_bytes())
    return sum(1 for _ in (CORPUS / target).iterdir())


def plant_seeds(target: str) -> Path:
    """What the repository itself has of such inputs, as files."""
    from tests.fuzz.seeds import seeds

    place = OUT / f"{target}.seeds"
    place.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(seeds(target)):
        (place / f"{number:04}").write_bytes(data)
    return place


def _engine() -> str:
    return "atheris" if importlib.util.find_spec("atheris") else "plain"


def main(arguments: list[str]) -> int:
    """Fuzz all targets, or those named."""
    if arguments[:1] == ["--child"]:
        target, statistics, *rest = arguments[1:]
        if rest[:1] == ["--plain"]:
            return plain(target, Path(statistics), int(rest[1]), int(rest[2]))
        planted = rest[1] if rest[:1] == ["--plant"] else ""
        child(target, Path(statistics), rest[rest.index("--") + 1 :], planted)
    parser = argparse.ArgumentParser()
    parser.add_argument("--n", type=int, default=200_000, help="executions of a full share")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--engine", choices=["atheris", "plain"], default=_engine())
    parser.add_argument("--keep", action="store_true", help="put what adds coverage into the corpus")
    parser.add_argument("--planted", action="store_true", help="only the planted faults")
    parser.add_argument("targets", nargs="*")
    asked = parser.parse_args(arguments)
    from tests.fuzz.plant import PLANTED

    results = []
    for target in asked.targets or ([] if asked.planted else SHARES):
        results.append(fuzz(target, int(asked.n * SHARES[target]), asked.seed, engine=asked.engine))
        print(json.dumps(results[-1]), file=sys.stderr)
        if asked.keep:
            print(f"{target}: {keep(target)} files", file=sys.stderr)
    caught = {}
    if not asked.targets and asked.engine == "atheris":
        for name, target in PLANTED.items():
            found = fuzz(target, 200_000, asked.seed, engine="atheris", planted=name)
            caught[name] = found["executions"] if found["wrong_accepted"] else 0  # how many it took
    frames = sum(result.get("frames", 0) for result in results)
    summary = {
        "fuzz": asked.engine, "seed": asked.seed, "executions": sum(result["executions"] for result in results),
        "modbus_frames": frames, "modbus_accepted": sum(result.get("accepted", 0) for result in results),
        "held": all(result["held"] for result in results), "planted_caught": caught, "targets": results,
    }  # fmt: skip
    print(json.dumps(summary))
    return 0 if summary["held"] and all(caught.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
