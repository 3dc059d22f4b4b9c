"""The installer of the tests' servers: one line and exit 2 without root, and no trace of its policy-rc.d afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

SCRIPT = Path(__file__).resolve().parent / "install_servers.sh"
NEEDED = ("bash", "dirname", "printf", "chmod", "rm", "mkdir", "sh", "touch")


def _run(folder: Path, uid: int, policy: Path) -> subprocess.CompletedProcess[str]:
    """Run a copy on a machine that has nothing but a shell, a given user, and an apt-get that only notes what it saw."""
    programs = folder / "bin"
    programs.mkdir()
    for name in NEEDED:
        found = shutil.which(name)
        assert found is not None
        (programs / name).symlink_to(found)
    seen = folder / "policy-seen"
    (programs / "id").write_text(f"#!/bin/sh\necho {uid}\n")
    (programs / "apt-get").write_text(f'#!/bin/sh\n[ ! -x "{policy}" ] || touch "{seen}"\necho "apt-get $*"\n')
    for name in ("id", "apt-get"):
        (programs / name).chmod(0o755)
    copy = folder / "tests" / "install_servers.sh"
    copy.parent.mkdir()
    shutil.copy(SCRIPT, copy)
    return subprocess.run(
        [str(programs / "bash"), str(copy)],
        env={**os.environ, "PATH": str(programs), "POLICY_RC_D": str(policy)},
        stdin=subprocess.DEVNULL,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_without_root_it_prints_the_one_line_to_run_and_exits_2(tmp_path: Path) -> None:
    done = _run(tmp_path, 1000, tmp_path / "policy-rc.d")
    assert done.returncode == 2
    line = next(line for line in done.stderr.splitlines() if "apt-get install" in line)
    for package in ("influxdb", "victoria-metrics", "nodejs", "npm", "gcc", "socat", "chromium"):
        assert package in line.split()
    assert not (tmp_path / "policy-rc.d").exists()


def test_as_root_services_are_refused_meanwhile_and_our_policy_is_removed(tmp_path: Path) -> None:
    done = _run(tmp_path, 0, tmp_path / "policy-rc.d")
    assert "apt-get install -y -qq --no-install-recommends" in done.stdout
    assert (tmp_path / "policy-seen").exists(), "services could have started while packages were installed"
    assert not (tmp_path / "policy-rc.d").exists()


def test_a_policy_that_exists_is_left_alone(tmp_path: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 104\n")
    policy.chmod(0o755)
    _run(tmp_path, 0, policy)
    assert policy.read_text() == "#!/bin/sh\nexit 104\n"


def test_what_apt_did_not_bring_is_a_loud_failure(tmp_path: Path) -> None:
    done = _run(tmp_path, 0, tmp_path / "policy-rc.d")
    assert done.returncode == 1
    assert "still missing" in done.stderr
