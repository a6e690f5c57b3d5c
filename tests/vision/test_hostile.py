"""Every odd and broken picture of the hostile set, decoded in a child process.

A crash, a hang or memory beyond the limit is then a failed test, not a lost test run.
"""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

# Reads paths from stdin; writes one JSON line a file, flushed, so that the last line before a
# crash names the file after which it happened.
_CHILD = """
import json, resource, sys, time
from pathlib import Path
import numpy as np
from doggo.core.errors import PhotoError
from doggo.vision.photo import canonical, prepare

def attempt(data):
    try:
        image_HWC = canonical(data)
    except PhotoError as error:
        return {"rejection": error.rejection, "message": str(error)}
    kept = prepare(data)
    again = prepare(kept.clean)
    return {
        "shape": image_HWC.shape,
        "same": bool(np.array_equal(canonical(kept.clean), image_HWC)),
        "again": (again.clean, again.extension) == (kept.clean, kept.extension),
    }

canonical(Path(sys.argv[1]).read_bytes())
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for line in sys.stdin:
    found = attempt(Path(line.strip()).read_bytes())
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(json.dumps({"path": line.strip(), "grown_kib": grown, **found}), flush=True)
"""
_CHILD_TIMEOUT_S = 200


@pytest.fixture(scope="module")
def outcomes(hostile_images: Path) -> dict[str, dict[str, object]]:
    """What became of each file of the index."""
    names = [row["file"] for row in _index(hostile_images)]
    first = hostile_images / "exif_samples/orientation_landscape_1.jpg"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _CHILD, str(first)],
        input="".join(f"{hostile_images / name}\n" for name in names),
        capture_output=True,
        text=True,
        timeout=_CHILD_TIMEOUT_S,
        check=False,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, (lines[-1:], done.stderr[-2000:])
    assert done.stderr == ""
    return dict(zip(names, lines, strict=True))


def _index(folder: Path) -> list[dict[str, str]]:
    with (folder / "INDEX.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def _files(folder: Path, reference: str) -> list[str]:
    return [row["file"] for row in _index(folder) if row["ref_class"] == reference]


def test_what_must_be_accepted_is(
    hostile_images: Path, outcomes: dict[str, dict[str, object]]
) -> None:
    refused = [
        name for name in _files(hostile_images, "must_accept") if "rejection" in outcomes[name]
    ]
    assert refused == []


def test_what_must_be_rejected_is_with_words(
    hostile_images: Path, outcomes: dict[str, dict[str, object]]
) -> None:
    for name in _files(hostile_images, "must_reject"):
        assert outcomes[name].get("rejection"), name
        assert str(outcomes[name]["message"]).startswith(("this ", "the ", "decoding ")), name


def test_truncated_files_are_called_so(outcomes: dict[str, dict[str, object]]) -> None:
    assert outcomes["libvips/truncated.jpg"]["rejection"] == "truncated"
    assert outcomes["libvips/truncated.gif"]["rejection"] == "truncated"
    assert outcomes["libvips/17000x17000.avif"]["rejection"] == "too_many_pixels"


def test_metadata_goes_without_touching_a_pixel(outcomes: dict[str, dict[str, object]]) -> None:
    accepted = {name: found for name, found in outcomes.items() if "shape" in found}
    assert len(accepted) > 80
    assert [name for name, found in accepted.items() if not found["same"]] == []
    assert [name for name, found in accepted.items() if not found["again"]] == []


def test_no_file_takes_more_than_the_memory_limit(outcomes: dict[str, dict[str, object]]) -> None:
    # The peak never falls: the first file over the limit is the one to blame.
    over = [name for name, found in outcomes.items() if int(str(found["grown_kib"])) > 150 * 1024]
    assert over[:1] == []
