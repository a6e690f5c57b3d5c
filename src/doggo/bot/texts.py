"""The words of the bot: a catalogue of one TOML file a language, and which one a person reads.

Owns choosing the language and filling the gaps of a text. Knows nothing of when a text is said.
A language is a file in `texts/`; English is the one that all others are compared with.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from html import escape
from types import MappingProxyType

ENGLISH = "en"
PLAIN = frozenset({"button", "toast", "search", "menu", "number", "word"})
"""Sections whose texts Telegram shows as they are; those of all others are HTML."""


@cache
def languages() -> Mapping[str, str]:
    """Return the languages of the catalogue: ISO 639-1 code -> its name in itself, English first.

    Reads the package's files once a process.
    """
    names = {code: _catalogue(code)["name"] for code in _codes()}
    return MappingProxyType({ENGLISH: names[ENGLISH]} | names)


def language_for(chosen: str, tag: str) -> str:
    """Return the code of the language to speak.

    Args:
        chosen: the code that the person chose; empty if none.
        tag: IETF tag of their app, such as `es-419` or `zh-hans`; anything may stand in it.

    Returns:
        The chosen language if there is one, else the app's, else English.
    """
    for wanted in (chosen, tag.replace("_", "-").partition("-")[0].lower()):
        if wanted in languages():
            return wanted
    return ENGLISH


def say(language: str, key: str, /, **values: str | int) -> str:
    """Return a text of the catalogue with its gaps filled.

    Args:
        language: a code of `languages()`.
        key: `section.name`.
        values: one for each gap of the text. They are escaped where the text is HTML.
    """
    section = key.partition(".")[0]
    shown = {
        name: str(value) if section in PLAIN else escape(str(value), quote=False)
        for name, value in values.items()
    }
    return _catalogue(language)[key].format_map(shown)


@cache
def _codes() -> tuple[str, ...]:
    from importlib.resources import files

    names = (entry.name for entry in files("doggo.bot").joinpath("texts").iterdir())
    return tuple(sorted(name[:-5] for name in names if name.endswith(".toml")))


@cache
def _catalogue(language: str) -> dict[str, str]:
    """Read a language: `name` and `section.name` -> text."""
    import tomllib
    from importlib.resources import files

    file = files("doggo.bot").joinpath("texts", f"{language}.toml")
    texts: dict[str, str] = {}
    for section, inner in tomllib.loads(file.read_text(encoding="utf-8")).items():
        if isinstance(inner, str):
            texts[section] = inner
        else:
            texts |= {f"{section}.{name}": text for name, text in inner.items()}
    return texts
