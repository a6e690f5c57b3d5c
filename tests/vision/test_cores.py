"""Cores are counted as a container has them: affinity and control groups, v1 and v2."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from doggo.vision.cores import available_cores, cpu_quota

CONTROLLER = Path("/sys/fs/cgroup/cpu")
COUNT = "from doggo.vision.cores import available_cores; print(available_cores())"


def system(root: Path, groups: str, **files: str) -> tuple[Path, Path]:
    """Return a `/proc/self/cgroup` and a `/sys/fs/cgroup` with these files: path → content."""
    told, mounted = root / "cgroup", root / "mounted"
    told.write_text(groups)
    mounted.mkdir()
    for path, content in files.items():
        file = mounted / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return told, mounted


V1 = "9:name=systemd:/\n4:memory:/x\n2:cpu,cpuacct:/pods/one\n0::/\n"


@pytest.mark.parametrize(
    ("groups", "files", "quota"),
    [
        pytest.param("0::/\n", {"cpu.max": "200000 100000\n"}, 2.0, id="a container"),
        pytest.param("0::/\n", {"cpu.max": "max 100000\n"}, None, id="no limit"),
        pytest.param("0::/\n", {}, None, id="no controller"),
        pytest.param("0::/a/b\n", {"a/b/cpu.max": "50000 100000\n"}, 0.5, id="half a core"),
        pytest.param(
            "0::/a/b\n",
            {"a/b/cpu.max": "400000 100000\n", "a/cpu.max": "150000 100000\n"},
            1.5,
            id="the limit above is smaller",
        ),
        pytest.param(
            "0::/../host/path\n", {"cpu.max": "300000 100000\n"}, 3.0, id="moved out of its root"
        ),
        pytest.param(
            V1,
            {
                "cpu,cpuacct/pods/one/cpu.cfs_quota_us": "250000\n",
                "cpu,cpuacct/pods/one/cpu.cfs_period_us": "100000\n",
            },
            2.5,
            id="version 1",
        ),
        pytest.param(
            V1,
            {
                "cpu,cpuacct/cpu.cfs_quota_us": "100000\n",
                "cpu,cpuacct/cpu.cfs_period_us": "50000\n",
            },
            2.0,
            id="version 1, told the host's path",
        ),
        pytest.param(
            V1,
            {
                "cpu,cpuacct/pods/one/cpu.cfs_quota_us": "-1\n",
                "cpu,cpuacct/pods/one/cpu.cfs_period_us": "100000\n",
            },
            None,
            id="version 1, no limit",
        ),
        pytest.param("0::/\n", {"cpu.max": "\n"}, None, id="empty"),
        pytest.param("0::/\n", {"cpu.max": "1 0\n"}, None, id="no period"),
        pytest.param("nonsense\n\n::::\n", {"cpu.max": "x y z\n"}, None, id="nonsense"),
    ],
)
def test_quota(tmp_path: Path, groups: str, files: dict[str, str], quota: float | None) -> None:
    assert cpu_quota(*system(tmp_path, groups, **files)) == quota


def test_where_nothing_is_told_there_is_no_quota(tmp_path: Path) -> None:
    assert cpu_quota(tmp_path / "cgroup", tmp_path) is None


def test_affinity_counts() -> None:
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system has no affinity")
    one = min(os.sched_getaffinity(0))
    told = subprocess.run(
        [sys.executable, "-c", f"import os; os.sched_setaffinity(0, {{{one}}}); {COUNT}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout == "1\n"


@pytest.fixture
def group() -> Iterator[Path]:
    """A real control group that allows half a core, for this test alone."""
    folder = CONTROLLER / f"doggo-test-{os.getpid()}"
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("no control group can be made here: not root, or no cgroup v1")
    try:
        (folder / "cpu.cfs_quota_us").write_text("50000")
        yield folder
    finally:
        folder.rmdir()


def test_a_real_group_is_obeyed(group: Path) -> None:
    if available_cores() < 2:
        pytest.skip("one core is all there is")
    join = f"open({str(group / 'cgroup.procs')!r}, 'w').write('0'); "
    told = subprocess.run(
        [sys.executable, "-c", join + COUNT], capture_output=True, text=True, check=True
    )
    assert told.stdout == "1\n"
