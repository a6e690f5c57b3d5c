"""The search: what letters find, and what comes back from it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.bot.bot_api import check
from tests.bot.scenes import IDS, KNOWLEDGE, FakeMemory, incoming, look, prediction

from doggo.bot import search
from doggo.bot.callback import tag
from doggo.bot.conversation import answer, answer_photos
from doggo.bot.search import Said, matches, said
from doggo.bot.texts import languages, say
from doggo.core.breeds import BREEDS, title
from doggo.core.chat import Feedback, Kind, Turn


def _results(turn: Turn) -> list[Any]:
    assert len(turn.replies) == 1
    check(turn.replies[0])
    found = turn.replies[0].arguments["results"]
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize(
    ("words", "first"),
    [
        ("beagle", "beagle"),
        ("BEA", "beagle"),
        ("collie", "collie"),
        ("ger she", "german_shepherd"),
        ("shepherd german", "german_shepherd"),
        ("alsat", "german_shepherd"),
        ("gsd", "german_shepherd"),
        ("xolo", "mexican_hairless"),
        ("hound afghan", "afghan_hound"),
        ("poo", "miniature_poodle"),
        ("begle", "beagle"),
        ("rotweiler", "rottweiler"),
        ("shihtzu", "shih-tzu"),
    ],
)
def test_letters_find_a_breed(words: str, first: str) -> None:
    assert matches(words, BREEDS)[0] == first


def test_a_breed_of_ones_own_is_found() -> None:
    assert matches("own", ("beagle", "my_own_breed")) == ("my_own_breed",)


@pytest.mark.parametrize("words", ["zzqx", "比格", "собака", "a" * 300, "\ud800"])
def test_what_is_no_breed_finds_nothing(words: str) -> None:
    assert matches(words, BREEDS) == ()


def test_no_letters_find_all_up_to_the_limit() -> None:
    assert matches(" ", BREEDS) == BREEDS[: search.MOST]


@given(st.text(max_size=60))
def test_any_words_find_known_breeds_only_and_not_too_many(words: str) -> None:
    found = matches(words, BREEDS)
    assert len(found) <= search.MOST
    assert set(found) <= set(BREEDS)
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("language", languages())
def test_a_search_for_a_photo_comes_back_as_feedback(language: str) -> None:
    memory = FakeMemory()
    memory.take(answer_photos([look(prediction())], memory, KNOWLEDGE))
    query = incoming(Kind.SEARCH, f"is {tag(IDS[0])} pug", language=language)
    result = _results(answer(query, memory, KNOWLEDGE))[0]
    assert result["title"] == "Pug"
    sent = incoming(Kind.TEXT, result["input_message_content"]["message_text"], language=language)
    turn = answer(sent, memory, KNOWLEDGE)
    assert turn.feedback == (Feedback(prediction_id=IDS[0], breed="pug", source="search"),)
    assert say(language, "talk.noted", breed="Pug") == turn.replies[0].arguments["text"]


def test_a_search_for_a_photo_begins_with_what_looked_alike() -> None:
    memory = FakeMemory()
    memory.take(answer_photos([look(prediction())], memory, KNOWLEDGE))
    for typed in (f"is {tag(IDS[0])}", f"is {tag(IDS[0])} "):
        results = _results(answer(incoming(Kind.SEARCH, typed), memory, KNOWLEDGE))
        assert [result["title"] for result in results[:3]] == [
            "Beagle", "English Foxhound", "Walker Hound",
        ]  # fmt: skip
        assert len(results) == search.MOST


def test_a_user_may_name_a_breed_that_the_model_does_not_know() -> None:
    memory = FakeMemory()
    memory.take(answer_photos([look(prediction())], memory, KNOWLEDGE))
    small = replace(KNOWLEDGE, labels=("beagle", "my_own_breed"))
    for typed, name in (("pug", "Pug"), ("my own", "My Own Breed")):
        query = incoming(Kind.SEARCH, f"is {tag(IDS[0])} {typed}")
        assert _results(answer(query, memory, small))[0]["title"] == name


def test_a_search_for_a_forgotten_photo_says_so() -> None:
    query = incoming(Kind.SEARCH, f"is {tag(IDS[0])} pug")
    turn = answer(query, FakeMemory(), KNOWLEDGE)
    assert _results(turn) == []
    assert turn.replies[0].arguments["button"] == {
        "text": say("en", "search.too_old"),
        "start_parameter": "help",
    }


def test_a_search_about_no_photo_sends_a_breed_that_gives_no_feedback() -> None:
    memory = FakeMemory()
    result = _results(answer(incoming(Kind.SEARCH, "pug"), memory, KNOWLEDGE))[0]
    text = result["input_message_content"]["message_text"]
    assert "@doggo_test_bot" in text
    turn = answer(incoming(Kind.TEXT, text), memory, KNOWLEDGE)
    assert turn.feedback == ()
    assert "Pug" in str(turn.replies[0].arguments["text"])


def test_without_a_model_nothing_is_found_and_it_is_said() -> None:
    turn = answer(incoming(Kind.SEARCH, "pug"), FakeMemory(), replace(KNOWLEDGE, labels=()))
    assert _results(turn) == []
    assert "button" in turn.replies[0].arguments


@pytest.mark.parametrize("key", [*BREEDS, "my_own_breed"])
def test_a_chosen_breed_is_read_back(key: str) -> None:
    text = f"🐶 {title(key)}\n📷 {tag(IDS[3])}"
    labels = (*BREEDS, "my_own_breed")
    assert said(text, labels) == Said(breed=key, prediction_id=IDS[3])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Beagle",
        "🐶",
        "🐶 Cat",
        f"🐶 Cat\n📷 {tag(IDS[0])}",
        f"🐶 Beagle\n📷 {tag(IDS[0])}\nmore",
        f"🐶 Beagle\n📷 {'A' * 21}B",
        f"x 🐶 Beagle\n📷 {tag(IDS[0])}",
        "🐶 " + "A" * 10_000,
    ],
)
def test_what_the_search_never_sent_is_not_read(text: str) -> None:
    assert said(text, BREEDS) is None
