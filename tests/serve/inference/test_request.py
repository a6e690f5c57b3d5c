"""A body becomes the photos that its client meant, or is refused in words."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from doggo.serve.inference.answer import OUTPUTS
from doggo.serve.inference.request import InferenceRequest, parse
from doggo.serve.problems import ProblemError

MOST = 5
PHOTOS = [b"first photo", b"\x00\xff" * 4000, b""]
photo_lists = st.lists(st.binary(max_size=300) | st.sampled_from(PHOTOS), min_size=1, max_size=MOST)


def encoded(photos: Sequence[bytes]) -> list[str]:
    return [base64.b64encode(photo).decode() for photo in photos]


def body(**changes: Any) -> dict[str, Any]:
    photo = {"name": "photo", "datatype": "BYTES", "shape": [1], "data": encoded([b"dog"])}
    inputs = {key: value for key, value in (photo | changes).items() if value is not ...}
    return {"inputs": [inputs]}


def read(data: Any, **more: Any) -> InferenceRequest:
    return parse(json.dumps({**data, **more}).encode(), None, most_photos=MOST)


def binary(photos: Sequence[bytes], **changes: Any) -> tuple[bytes, int]:
    tensor = b"".join(struct.pack("<I", len(photo)) + photo for photo in photos)
    size = {"parameters": {"binary_data_size": len(tensor)}}
    head = json.dumps(body(**({"shape": [len(photos)], "data": ...} | size | changes))).encode()
    return head + tensor, len(head)


def refusal(data: bytes, json_bytes: int | None = None) -> ProblemError:
    with pytest.raises(ProblemError) as caught:
        parse(data, json_bytes, most_photos=MOST)
    return caught.value


@given(photos=photo_lists, nested=st.booleans(), escape=st.booleans())
def test_base64_in_json_arrives_whole(photos: list[bytes], nested: bool, escape: bool) -> None:
    data: list[Any] = encoded(photos)
    shape = [len(photos)]
    if nested:
        data, shape = [[one] for one in data], [len(photos), 1]
    text = json.dumps(body(data=data, shape=shape))
    if escape:  # as PHP writes it
        text = text.replace("/", "\\/")
    assert parse(text.encode(), None, most_photos=MOST).photos == photos


@given(photos=photo_lists)
def test_binary_arrives_whole(photos: list[bytes]) -> None:
    data, json_bytes = binary(photos)
    assert parse(data, json_bytes, most_photos=MOST).photos == photos


def test_a_flat_list_may_have_the_shape_of_a_column() -> None:
    assert read(body(shape=[2, 1], data=encoded([b"a", b"b"]))).photos == [b"a", b"b"]


def test_a_body_without_json_is_one_photo() -> None:
    assert list(parse(b"{any bytes", 0, most_photos=MOST).photos) == [b"{any bytes"]


def test_base64_of_many_pieces_is_decoded_like_a_short_one() -> None:
    photo = bytes(range(256)) * 9000
    assert read(body(data=encoded([photo]))).photos == [photo]


@pytest.mark.parametrize(
    "given_id", ["", "7", "é\U0001f415", 'quo"te\\', "x" * 1024, "\U0001f415" * 1024]
)
def test_the_id_comes_back(given_id: str) -> None:
    assert read(body(), id=given_id).id == given_id


def test_outputs_are_those_asked_for_and_once() -> None:
    every = [(name, False) for name in OUTPUTS]
    for outputs in (None, []):
        assert [(out.name, out.binary) for out in read(body(), outputs=outputs).outputs] == every
    asked = read(
        body(),
        outputs=[
            {"name": "verdict", "parameters": {"binary_data": False}},
            {"name": "breed"},
            {"name": "verdict", "parameters": {"binary_data": False}},
        ],
        parameters={"binary_data_output": True},
    )
    assert [(out.name, out.binary) for out in asked.outputs] == [
        ("verdict", False),
        ("breed", True),
    ]


def test_members_that_mean_nothing_here_are_ignored() -> None:
    asked = read(
        body(parameters={"content_type": "base64", "headers": {"a": [1]}}, extra=[{}]),
        parameters={"priority": 1, "sequence_end": True},
        more={"deep": [None]},
        id=None,
        outputs=None,
    )
    assert asked.photos == [b"dog"]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"name": "image"}, "inputs.0.name"),
        ({"datatype": "UINT8"}, "inputs.0.datatype"),
        ({"shape": []}, "inputs.0.shape"),
        ({"shape": [0], "data": []}, "one photo at least"),
        ({"shape": [1, 2]}, "shape"),
        ({"shape": [1, 1, 1]}, "shape"),
        ({"shape": [-1]}, "inputs.0.shape.0"),
        ({"shape": [1.5]}, "inputs.0.shape.0"),
        ({"shape": [2**64]}, "inputs.0.shape.0"),
        ({"shape": [True]}, "inputs.0.shape.0"),
        ({"shape": [2]}, "has 1 elements"),
        ({"data": []}, "has 0 elements"),
        ({"data": ...}, "has 0 elements"),
        ({"data": [1]}, "inputs.0.data"),
        ({"data": "ZG9n"}, "inputs.0.data"),
        ({"data": [["ZG9n"]]}, "nested"),
        ({"shape": [1, 1], "data": [["ZG9n", "ZG9n"]]}, "nested"),
        ({"data": [[["ZG9n"]]]}, "inputs.0.data"),
        ({"data": ["not base64"]}, "base64"),
        ({"data": ["ZG9"]}, "base64"),
        ({"data": ["ZG9n\n"]}, "base64"),
        ({"data": ["é" * 300]}, "base64"),
        ({"data": ["ZA==" + "ZG9n" * 400_000]}, "base64"),
        ({"data": ["ZG9n" * 65_535 + "ZA==" + "ZG9n"]}, "base64"),
        ({"parameters": {"content_type": "str"}}, "content_type"),
        ({"parameters": {"binary_data_size": 4}}, "binary_data_size"),
        ({"parameters": {"binary_data_size": 0}}, "either"),
    ],
)
def test_another_input_is_refused_in_words(wrong: dict[str, Any], words: str) -> None:
    refused = refusal(json.dumps(body(**wrong)).encode())
    assert refused.kind.status == 400
    assert words in str(refused)


def test_other_inputs_and_outputs_are_refused() -> None:
    one = body()["inputs"][0]
    for data in (
        {"inputs": []},
        {"inputs": [one, one]},
        {},
        [],
        {**body(), "outputs": [{"name": "age"}]},
        {**body(), "id": 7},
        {**body(), "id": "x" * 1025},
        {**body(), "id": "ü" * 1025},
        {**body(), "id": "x" * 2_000_000},
    ):
        assert refusal(json.dumps(data).encode()).kind.status == 400


def test_too_many_photos_are_refused_before_they_are_decoded() -> None:
    for count in (MOST + 1, 2**63):
        refused = refusal(json.dumps(body(shape=[count])).encode())
        assert refused.kind.status == 413
        assert f"{MOST} photos" in str(refused)


@pytest.mark.parametrize(
    "wrong",
    [
        {"shape": [1]},
        {"shape": [3]},
        {"data": ["ZG9n"]},
        {"parameters": {"binary_data_size": 0}},
        {"parameters": {"binary_data_size": -1}},
        {"parameters": {"binary_data_size": 10**30}},
        {"parameters": {"binary_data_size": "15"}},
        {"parameters": {}},
    ],
)
def test_binary_data_that_do_not_fit_are_refused(wrong: dict[str, Any]) -> None:
    data, json_bytes = binary([b"dog", b"cat!"], **wrong)
    assert refusal(data, json_bytes).kind.status == 400


@given(cut=st.integers(1, 200), more=st.binary(max_size=8), lie=st.integers(-200, 300))
def test_lying_lengths_are_refused(cut: int, more: bytes, lie: int) -> None:
    data, json_bytes = binary([b"dog" * 20, b"cat!" * 20])
    for wrong, told in (
        (data[:-cut], json_bytes),
        (data + more + b"x", json_bytes),
        (data, max(1, json_bytes + (lie or 1))),
    ):
        assert refusal(wrong, told).kind.status == 400


def test_an_element_that_claims_more_than_there_is_is_refused() -> None:
    data, json_bytes = binary([b"dog"])
    lying = data[:json_bytes] + struct.pack("<I", 2**32 - 1) + data[json_bytes + 4 :]
    assert "ends within element 1 of 1" in str(refusal(lying, json_bytes))


WORDS = b"""{ } [ ] : , " \\ NaN Infinity - 1e999 null true 0 "\\ud800" "\\u00" \xff \xef\xbb\xbf
\x00 "inputs" "data" "shape" "name" "photo" "datatype" "BYTES" """
tokens = st.sampled_from([*WORDS.split(), b"9" * 5000, b" "])


@given(data=st.lists(tokens, max_size=40).map(b"".join), told=st.none() | st.integers(1, 60))
@example(data=b"[" * 60_000, told=None)
@example(data=b'{"inputs":' * 6_000, told=None)
@example(data=json.dumps(body(name="\ud800")).encode(), told=None)
@example(data=json.dumps({**body(), "id": "\udfff" * 100}).encode(), told=None)
@example(data=json.dumps(body(shape=[float("nan")])).encode(), told=None)
@example(data=b'{"inputs": [], "inputs": 1}', told=None)
def test_what_is_no_request_is_refused_and_nothing_else_happens(
    data: bytes, told: int | None
) -> None:
    assert refusal(data, told).kind.status == 400


@given(at=st.integers(0, 400), junk=st.binary(max_size=3), keep=st.booleans())
def test_a_damaged_request_is_read_or_refused(at: int, junk: bytes, keep: bool) -> None:
    good = json.dumps({**body(data=encoded([b"dog" * 60])), "id": "7"}).encode()
    damaged = good[:at] + junk + (good[at + len(junk) :] if keep else b"")
    try:
        photos = parse(damaged, None, most_photos=MOST).photos
    except ProblemError as error:
        statuses = {error.kind.status}
    else:
        statuses = {200} if len(photos) == 1 else set()
    assert statuses
    assert statuses <= {200, 400, 413}


def test_a_repeated_member_counts_as_it_was_last() -> None:
    text = json.dumps(body()).replace('"shape": [1]', '"shape": [9], "shape": [1]')
    assert parse(text.encode(), None, most_photos=MOST).photos == [b"dog"]
