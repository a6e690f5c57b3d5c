"""Lists of names in MATLAB files: what scipy writes is read, what is damaged is refused."""

from __future__ import annotations

import io
import random
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import savemat

from doggo.preprocess.matlab import cell_texts

NAMES = [f"n02085620-Chihuahua/n02085620_{number}.jpg" for number in range(40)]


def written(names: list[str], *, compressed: bool = True) -> bytes:
    cells = np.empty((len(names), 1), dtype=object)
    cells[:, 0] = names
    content = {"labels": np.ones((3, 1)), "file_list": cells, "version": "one"}
    buffer = io.BytesIO()
    savemat(buffer, content, do_compression=compressed)
    return buffer.getvalue()


@pytest.mark.parametrize("compressed", [True, False])
def test_what_scipy_writes_is_read(compressed: bool) -> None:
    assert cell_texts(written(NAMES, compressed=compressed), "file_list") == NAMES


@given(st.lists(st.text(st.characters(codec="ascii", exclude_characters="\0"), min_size=1)))
def test_any_texts_are_read(names: list[str]) -> None:
    assert cell_texts(written(names), "file_list") == names


@pytest.mark.parametrize(
    ("variable", "said"),
    [("nothing", "no variable nothing"), ("labels", "not an array of texts")],
)
def test_another_variable_is_refused(variable: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        cell_texts(written(NAMES), variable)


def test_a_flood_in_a_small_file_is_refused() -> None:
    import zlib

    header = b"MATLAB 5.0".ljust(124) + b"\0\1IM"
    flood = zlib.compress(bytes(64 * 2**20))
    element = (15).to_bytes(4, "little") + len(flood).to_bytes(4, "little") + flood
    with pytest.raises(ValueError, match="far too large"):
        cell_texts(header + element, "file_list")


@pytest.mark.parametrize("compressed", [True, False])
def test_flipped_bytes_are_read_or_refused(compressed: bool) -> None:
    good, rng = written(NAMES, compressed=compressed), random.Random(7)
    for _ in range(500):
        data = bytearray(good[: rng.choice((len(good), rng.randint(1, len(good))))])
        for _ in range(rng.randint(1, 6)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        with suppress(ValueError):  # and nothing else
            assert len(cell_texts(bytes(data), "file_list")) <= len(good)
