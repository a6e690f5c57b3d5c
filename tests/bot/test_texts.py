"""The catalogue: complete in each language, within Telegram's limits, and nothing is left over."""

from __future__ import annotations

import ast
import re
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.bot.bot_api import plain, utf16

import doggo.bot
from doggo.bot import texts
from doggo.bot.texts import ENGLISH, PLAIN, language_for, languages, say

FOLDER = Path(doggo.bot.__file__).parent
LIMITS = {"button": 28, "toast": 200, "menu": 100, "number": 5, "word": 16}


def _keys(language: str) -> dict[str, str]:
    return {key: text for key, text in texts._catalogue(language).items() if key != "name"}


def _gaps(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def _strings() -> set[str]:
    """Every string that stands in the bot's code."""
    return {
        node.value
        for path in FOLDER.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def test_the_languages_asked_for_are_there() -> None:
    assert {"en", "es", "de", "ru", "zh"} <= set(languages())
    assert next(iter(languages())) == ENGLISH
    assert languages()["de"] == "Deutsch"
    assert len(set(languages().values())) == len(languages())


@pytest.mark.parametrize("language", languages())
def test_a_language_has_the_keys_and_gaps_of_english(language: str) -> None:
    english, other = _keys(ENGLISH), _keys(language)
    assert other.keys() == english.keys()
    assert list(other) == list(english), "the order of English, so that a translator finds it"
    for key, text in english.items():
        assert _gaps(other[key]) == _gaps(text), key


@pytest.mark.parametrize("language", languages())
def test_gaps_are_plain_names(language: str) -> None:
    for key, text in _keys(language).items():
        for _, name, form, conversion in string.Formatter().parse(text):
            assert not form, f"{key}: no form"
            assert not conversion, f"{key}: no conversion"
            assert name is None or re.fullmatch(r"[a-z_]+", name), key


@pytest.mark.parametrize("language", languages())
def test_no_text_is_left_in_english(language: str) -> None:
    if language != ENGLISH:
        same = {key for key, text in _keys(ENGLISH).items() if _keys(language)[key] == text}
        # Words that are the same in two languages, or no words at all.
        assert same <= {"number.percent", "word.none", "word.no"}


def test_every_text_is_said_somewhere_and_every_text_said_exists() -> None:
    sections = {key.partition(".")[0] for key in _keys(ENGLISH)}
    spoken = re.compile(rf"({'|'.join(sections)})\.[a-z_]+")
    said = {text for text in _strings() if spoken.fullmatch(text)}
    assert said == set(_keys(ENGLISH))


@pytest.mark.parametrize("language", languages())
def test_texts_keep_telegrams_limits(language: str) -> None:
    for key, text in _keys(language).items():
        section = key.partition(".")[0]
        filled = text.format_map(dict.fromkeys(_gaps(text), "12"))
        if section in PLAIN:
            assert "<" not in text, f"{key} is shown as it is: no tags"
            assert utf16(filled) <= LIMITS.get(section, 60), key
        else:
            assert utf16(plain(filled)) <= 2500, key
        assert filled.strip(), key


@pytest.mark.parametrize("language", languages())
def test_toasts_hold_the_longest_breed(language: str) -> None:
    for key, text in _keys(language).items():
        if key.startswith("toast."):
            assert utf16(text.format_map(dict.fromkeys(_gaps(text), "W" * 60))) <= 200


@pytest.mark.parametrize("language", languages())
def test_values_are_escaped_in_html_and_left_alone_elsewhere(language: str) -> None:
    assert "<b>&lt;i&gt; &amp;</b>" in say(language, "answer.sure", breed="<i> &")
    assert "<i> &" in say(language, "toast.noted", breed="<i> &")


@pytest.mark.parametrize("language", languages())
def test_a_value_cannot_fill_another_gap(language: str) -> None:
    assert "{bot} {0.__class__}" in say(language, "answer.sure", breed="{bot} {0.__class__}")


@pytest.mark.parametrize(
    ("chosen", "tag", "language"),
    [
        ("", "pt-br", "en"),
        ("", "zh-hans", "zh"),
        ("", "zh-Hant-TW", "zh"),
        ("", "es-419", "es"),
        ("", "DE", "de"),
        ("", "ru_RU", "ru"),
        ("", "", "en"),
        ("de", "ru", "de"),
        ("xx", "ru", "ru"),
        ("../en", "", "en"),
    ],
)
def test_the_language_is_the_chosen_one_or_the_apps_or_english(
    chosen: str, tag: str, language: str
) -> None:
    assert language_for(chosen, tag) == language


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_tag_gives_a_language_of_the_catalogue(chosen: str, tag: str) -> None:
    assert language_for(chosen, tag) in languages()
