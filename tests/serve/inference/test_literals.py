"""Long strings are set aside, whatever surrounds them; what is slow or large is refused."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doggo.serve.inference.literals import MOST_BYTES, SHORT_BYTES, Skeleton, set_aside
from doggo.serve.problems import ProblemError

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=3) | st.sampled_from(
    ['"', "\\", '\\"', "x" * SHORT_BYTES, "y" * (SHORT_BYTES + 1), "1" * 200, '"\\' * 100, "é" * 70]
)
values = st.recursive(
    texts | st.integers() | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


def restored(value: Any, skeleton: Skeleton) -> Any:
    """Put the long strings back into what a parser made of the skeleton."""
    if isinstance(value, str):
        literal = skeleton.literal(value)
        return value if literal is None else json.loads(b'"%b"' % literal)
    if isinstance(value, list):
        return [restored(one, skeleton) for one in value]
    if isinstance(value, dict):
        return {restored(k, skeleton): restored(v, skeleton) for k, v in value.items()}
    return value


@given(value=values, ascii_only=st.booleans(), indent=st.sampled_from([None, 2]))
def test_a_text_means_the_same_with_its_long_strings_put_back(
    value: Any, ascii_only: bool, indent: int | None
) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    skeleton = set_aside(text)
    assert restored(json.loads(skeleton.text), skeleton) == value
    assert all(len(literal) > SHORT_BYTES for literal in skeleton.long)


def test_a_client_cannot_write_a_placeholder() -> None:
    forged = set_aside(json.dumps(["a" * 500]).encode()).text
    skeleton = set_aside(forged)
    assert [skeleton.literal(one) for one in json.loads(skeleton.text)] == [
        json.loads(forged)[0].encode()
    ]


SIZE = 8 * 2**20


@pytest.mark.parametrize(
    "text",
    [
        b"[" * SIZE,
        b"[0" + b",0" * (SIZE // 2),
        b'["' + b'","' * (SIZE // 3),
        b'{"a":' * (SIZE // 5),
        b" " * SIZE,
        b"9" * SIZE,
        b'"' + b"\\" * SIZE + b'"',
        b'"' + b'\\"' * (SIZE // 2) + b'"',
        b'["' + b'a"' * (SIZE // 2),
        b'"never ends' + b"a" * SIZE,
    ],
    ids=lambda text: text[:6].decode(),
)
def test_bulk_that_is_no_photo_is_refused_without_becoming_larger(text: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ProblemError) as caught:
            set_aside(text)
        assert tracemalloc.get_traced_memory()[1] < SIZE // 2
    finally:
        tracemalloc.stop()
    assert caught.value.kind.status == 400


def test_what_is_left_has_a_limit() -> None:
    at_limit = b" " * (MOST_BYTES - 2) + b"[]"
    assert set_aside(at_limit).text == at_limit
    with pytest.raises(ProblemError, match="KiB"):
        set_aside(b" " + at_limit)


def test_many_photos_fit() -> None:
    text = json.dumps(["A" * 5000] * 200).encode()
    assert len(set_aside(text).long) == 200
