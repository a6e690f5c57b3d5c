"""What a training takes of the machine."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

CHILD = """
import os, torch
from doggo.train.compute import stay_within_quota
torch.set_num_threads(4)
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
stay_within_quota()
print(torch.get_num_threads())
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")
def test_threads_are_no_more_than_the_cores_allowed() -> None:
    told = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True)
    assert told.stdout == "1\n"
