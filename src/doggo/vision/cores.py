"""How many processor cores this process may use.

Owns the question alone. The machine's own count is wrong in a container: with a limit of two cores
on a node of sixty-four it would start sixty-four processes, run out of memory first and be
throttled after.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_GROUPS = Path("/proc/self/cgroup")
_MOUNTED = Path("/sys/fs/cgroup")


def available_cores() -> int:
    """Return the cores of the affinity mask, or fewer if a control group allows less time.

    A part of a core counts as one; there is always one.
    """
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    quota = cpu_quota()
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


def cpu_quota(groups: Path = _GROUPS, mounted: Path = _MOUNTED) -> float | None:
    """Return how many cores' time the control groups of this process allow; None: no limit.

    The smallest limit on the way up counts, as the kernel has it. Reads `cpu.max` of cgroup v2 and
    `cpu.cfs_quota_us` of v1 (docs.kernel.org: admin-guide/cgroup-v2, scheduler/sched-bwc).

    Args:
        groups: which groups this process is in: cgroups(7).
        mounted: where the groups' file systems are mounted.
    """
    try:
        lines = groups.read_text().splitlines()
    except OSError:
        return None  # not Linux, or nothing is told
    limits = [limit for folder in _folders(lines, mounted) if (limit := _limit(folder))]
    return min(limits, default=None)


def _folders(lines: list[str], mounted: Path) -> Iterator[Path]:
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and "cpu" not in controllers.split(","):
            continue
        # A container sees its own group as the root, and in v1 may be told the host's path.
        parts = [part for part in PurePosixPath(path).parts if part not in ("/", "..")]
        base = mounted / controllers
        for depth in range(len(parts), -1, -1):
            yield base.joinpath(*parts[:depth])


def _limit(folder: Path) -> float | None:
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text()
            period = (folder / "cpu.cfs_period_us").read_text()
        share = int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None  # no group here, or "max": no limit
    return share if share > 0 else None
