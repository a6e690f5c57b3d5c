"""The data of buttons: short, and nothing but what we wrote is understood."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.bot.scenes import IDS

from doggo.bot.callback import Tap, Verb, encode, parse, tag, untag

PHOTO_VERBS = (Verb.ASK, Verb.RIGHT, Verb.WRONG, Verb.UNKNOWN, Verb.NUMBERS)
IDENTITIES = st.uuids(version=4).map(lambda one: one.hex)
TAPS = st.one_of(
    st.builds(Tap, verb=st.sampled_from(PHOTO_VERBS), prediction_id=IDENTITIES),
    st.builds(
        Tap, verb=st.just(Verb.PICK), prediction_id=IDENTITIES, place=st.integers(0, 9)
    ),
    st.builds(
        Tap,
        verb=st.sampled_from((Verb.CONSENT, Verb.PRIVACY, Verb.FORGET)),
        word=st.sampled_from(("yes", "no")),
    ),
    st.builds(Tap, verb=st.just(Verb.LANGUAGE), word=st.sampled_from(("de", "auto"))),
    st.builds(Tap, verb=st.just(Verb.LETTER), word=st.sampled_from("abcz0")),
)  # fmt: skip


@given(TAPS)
def test_a_tap_comes_back_as_it_was_written(tap: Tap) -> None:
    data = encode(tap)
    assert parse(data) == tap
    assert len(data.encode()) <= 64


@given(IDENTITIES)
def test_a_tag_is_an_id_in_22_characters(prediction_id: str) -> None:
    assert len(tag(prediction_id)) == 22
    assert untag(tag(prediction_id)) == prediction_id


def test_every_verb_can_be_written() -> None:
    assert set(Verb) == {
        *PHOTO_VERBS, Verb.PICK, Verb.CONSENT, Verb.PRIVACY, Verb.FORGET, Verb.LANGUAGE,
        Verb.LETTER,
    }  # fmt: skip


@pytest.mark.parametrize(
    "data",
    [
        "",
        ":",
        "::::",
        "1:",
        "1:right",
        "1:right:",
        f"0:right:{tag(IDS[0])}",
        f"2:right:{tag(IDS[0])}",
        f"1:RIGHT:{tag(IDS[0])}",
        f"1:right:{tag(IDS[0])}:0",
        f"1:right:{tag(IDS[0])}\n",
        f"1:right:{IDS[0]}",
        f"1:right:{'A' * 21}B",  # spare bits set: the same id, spelled otherwise
        f"1:right:{'é' * 22}",
        f"1:pick:{tag(IDS[0])}",
        f"1:pick:{tag(IDS[0])}:10",
        f"1:pick:{tag(IDS[0])}:-1",
        f"1:pick:{tag(IDS[0])}:²",
        f"1:pick:{tag(IDS[0])}:1:1",
        "1:consent:maybe",
        "1:consent:yes\n",
        "1:language:../etc",
        "1:letter:ab",
        "1:letter:ß",
        "1:erase:yes",
        "1:right:\ud800",
    ],
)
def test_what_we_never_wrote_is_not_understood(data: str) -> None:
    assert parse(data) is None


@given(st.text(max_size=80) | st.text(alphabet="1:rightpckays-_A0", max_size=64))
def test_any_data_is_refused_or_is_ours(data: str) -> None:
    tap = parse(data)
    assert tap is None or encode(tap) == data
