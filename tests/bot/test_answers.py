"""The words under a photo: never surer than the verdict, readable on a phone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.bot.bot_api import plain
from tests.bot.scenes import BEAGLE, KNOWLEDGE, LOOK_ALIKES, album, look, prediction

from doggo.bot import answers
from doggo.bot.texts import languages, say
from doggo.core.breeds import BREEDS, title
from doggo.core.chat import Preview, Refusal
from doggo.core.records import BreedProbability, Verdict

LABELS = KNOWLEDGE.labels


@pytest.mark.parametrize("language", languages())
def test_a_sure_answer_names_the_breed_and_shows_three(language: str) -> None:
    text = plain(answers.for_one(language, look(prediction()), LABELS))
    assert text.startswith("🐶 Beagle")
    assert [name for name in map(title, BREEDS) if name in text.splitlines()] == [
        "Beagle",
        "English Foxhound",
        "Walker Hound",
    ]
    assert "87" in text


@pytest.mark.parametrize("language", languages())
def test_an_unsure_answer_says_so_before_its_guess(language: str) -> None:
    text = plain(answers.for_one(language, look(prediction(LOOK_ALIKES, Verdict.UNSURE)), LABELS))
    assert "🐶" not in text
    assert text.index("🤔") < text.index("Soft-coated Wheaten Terrier")
    assert "🤔" not in plain(answers.for_one(language, look(prediction()), LABELS))


@pytest.mark.parametrize("language", languages())
def test_no_breed_is_named_for_what_is_no_dog(language: str) -> None:
    text = plain(answers.for_one(language, look(prediction(verdict=Verdict.NOT_A_DOG)), LABELS))
    assert not any(title(key) in text for key, _ in BEAGLE)
    assert "%" not in text


@pytest.mark.parametrize("language", languages())
def test_each_refusal_has_words_of_its_own(language: str) -> None:
    lines = {answers.refusal(language, reason) for reason in Refusal}
    assert len(lines) == len(Refusal)
    assert all(answers.for_one(language, look(reason), LABELS) in lines for reason in Refusal)


@pytest.mark.parametrize("language", languages())
def test_a_video_is_said_to_be_judged_by_a_still(language: str) -> None:
    still = say(language, "answer.still")
    assert still in answers.for_one(language, look(prediction(), preview=Preview.MOTION), LABELS)
    assert still not in answers.for_one(language, look(prediction()), LABELS)


@pytest.mark.parametrize("language", languages())
def test_an_album_is_one_answer_with_each_photo_in_its_place(language: str) -> None:
    lines = plain(answers.for_album(language, album(language), LABELS)).splitlines()
    numbered = [line for line in lines if line[:1].isdigit()]
    assert [line[:3] for line in numbered] == ["1. ", "2. ", "3. ", "4. ", "5. "]
    assert "Beagle" in numbered[0]
    assert "Soft-coated Wheaten Terrier" in numbered[1]
    assert plain(answers.refusal(language, Refusal.BROKEN)) in numbered[2]
    assert "Beagle" not in numbered[3]
    assert plain(answers.refusal(language, Refusal.TOO_BIG)) in numbered[4]


def test_an_album_that_fails_for_one_reason_says_it_once() -> None:
    looks = [look(Refusal.BUSY), look(Refusal.BUSY)]
    assert answers.for_album("en", looks, LABELS) == answers.refusal("en", Refusal.BUSY)


@given(st.floats(min_value=0, max_value=1), st.sampled_from(list(languages())))
def test_no_percentage_says_never_or_always(probability: float, language: str) -> None:
    said = answers.percent(language, probability)
    digits = int("".join(c for c in said if c.isdigit()))
    assert 1 <= digits <= 99
    assert len(said) <= 5
    if said.startswith("<"):
        assert probability < 0.01
    elif said.startswith(">"):
        assert probability > 0.99
    else:
        assert abs(probability * 100 - digits) <= 0.5 + 1e-9


@given(
    st.lists(
        st.tuples(st.sampled_from(BREEDS) | st.text(min_size=1), st.floats(0, 1)),
        min_size=1,
        max_size=3,
    )
)
def test_bars_are_aligned_and_fit_a_phone(guesses: list[tuple[str, float]]) -> None:
    breeds = [BreedProbability(breed=key, probability=p) for key, p in guesses]
    lines = plain(answers.bars("en", breeds)).split("\n")
    drawn = [line for line in lines if line[:1] in tuple("█░") and len(line) == 28]
    assert len(drawn) >= len(guesses)
    known = [line for line in lines if line in {title(key) for key in BREEDS}]
    assert max(map(len, [*drawn, *known])) <= 30


def test_every_known_breed_fits_a_line_whole() -> None:
    for key in BREEDS:
        bars = answers.bars("en", [BreedProbability(breed=key, probability=0.5)])
        assert plain(bars).split("\n")[0] == title(key)


@pytest.mark.parametrize(
    ("caption", "breed"),
    [
        ("Beagle", "beagle"),
        ("  #beagle! ", "beagle"),
        ("@doggo_test_bot German Shepherd", "german_shepherd"),
        ("/dog alsatian", "german_shepherd"),
        ("Brabançon Griffon 🐾", "brabancon_griffon"),
        ("my own breed", "my_own_breed"),
        ("", None),
        ("🐾", None),
        ("beagle?", None),
        ("is it a beagle", None),
        ("not a beagle", None),
        ("black", None),
        ("begle", None),
        ("собака", None),
        ("比格犬", None),
        ("beagle " * 100, None),
        ("\ud800", None),
    ],
)
def test_a_caption_counts_if_it_is_the_name_of_a_breed(caption: str, breed: str | None) -> None:
    assert answers.hint(caption, (*LABELS, "my_own_breed")) == breed


@pytest.mark.parametrize("language", languages())
def test_a_caption_is_acknowledged(language: str) -> None:
    same = answers.for_one(language, look(prediction(), "beagle"), LABELS)
    other = answers.for_one(language, look(prediction(), "pug"), LABELS)
    new = answers.for_one(language, look(prediction(), "pug"), ("beagle",))
    assert say(language, "answer.you_agree", breed="Beagle") in same
    assert say(language, "answer.you_say", breed="Pug") in other
    assert say(language, "answer.you_say_new", breed="Pug") in new


def test_a_caption_does_not_agree_with_an_answer_that_named_nothing() -> None:
    text = answers.for_one("en", look(prediction(verdict=Verdict.NOT_A_DOG), "beagle"), LABELS)
    assert say("en", "answer.you_say", breed="Beagle") in text
