"""The search for a breed: what one types behind the bot's name, and what then comes back.

    is IiJ0c8vWQtOkS0Y3yXbOaw beag    typed: the tag of a photo (a button put it there) and letters
    🐶 Beagle                         sent by choosing: the breed, and below it the photo's tag,
    📷 IiJ0c8vWQtOkS0Y3yXbOaw         so that the message alone says what is meant

Owns both grammars and which breeds fit some letters.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from doggo.bot.callback import tag, untag
from doggo.bot.replies import answer_search
from doggo.bot.scene import Scene
from doggo.core.breeds import BREEDS, normalise, other_names, title
from doggo.core.chat import JsonValue, Remembered, Reply, Turn
from doggo.core.errors import InputError

MOST = 20
"""Breeds in one list: a phone shows six, Telegram takes fifty."""

_ABOUT = re.compile(r"is ([A-Za-z0-9_-]{22})(?:\s+(.*))?", re.DOTALL)
_SAID = re.compile(r"🐶 ([^\n]{1,120})(?:\n(?:📷 ([A-Za-z0-9_-]{22})|[^\n]{1,200}))?")
_CLOSE = 0.6  # difflib's ratio: "begle" finds the beagle, "xyz" nothing


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """A breed that was chosen in the search.

    Attributes:
        prediction_id: of the photo that it is about; empty if about none.
    """

    breed: str
    prediction_id: str = ""


def answer(scene: Scene) -> Turn:
    """Answer an inline query with the breeds that fit."""
    return Turn(replies=(_found(scene),))


def said(text: str, labels: Sequence[str]) -> Said | None:
    """Return what a message says that was sent by choosing in the search, else None."""
    match = _SAID.fullmatch(text.strip())
    if match is None:
        return None
    named = {title(key): key for key in (*BREEDS, *labels)}.get(match[1])
    if named is None:
        return None
    if match[2] is None:
        return Said(breed=named)
    prediction_id = untag(match[2])
    return None if prediction_id is None else Said(breed=named, prediction_id=prediction_id)


def matches(words: str, keys: Iterable[str], most: int = MOST) -> tuple[str, ...]:
    """Return the breeds that `words` may mean, the likeliest first; all of them for no words.

    The name itself comes first, then names that begin with the words, names with words that do,
    other names of a breed, letters within a name; only if there is none, similar spellings.
    """
    pool = sorted(set(keys))
    if not words.strip():
        return tuple(pool[:most])
    try:
        key = normalise(words)
    except InputError:
        return ()
    wanted = tuple(re.split(r"[_-]", key))
    ranks = ((0 if name == key else _rank(wanted, name), name) for name in pool)
    ranked = sorted((rank, name) for rank, name in ranks if rank is not None)
    return tuple(name for _, name in ranked[:most]) or _similar("".join(wanted), pool, most)


def _found(scene: Scene) -> Reply:
    knowledge = scene.knowledge
    match = _ABOUT.fullmatch(scene.incoming.text.strip())
    if match is None:
        found = matches(scene.incoming.text, knowledge.labels)
        if not knowledge.labels:
            return answer_search(scene.incoming, [], (scene.say("search.no_model"), "help"))
        return _listed(scene, found, None)
    prediction_id = untag(match[1])
    remembered = scene.memory.remembered(prediction_id) if prediction_id else None
    if remembered is None:
        return answer_search(scene.incoming, [], (scene.say("search.too_old"), "help"))
    pool = (*BREEDS, *knowledge.labels)
    found = matches(match[2] or "", pool)
    if not match[2]:
        found = tuple(dict.fromkeys((*remembered.breeds, *found)))[:MOST]
    return _listed(scene, found, remembered)


def _listed(scene: Scene, found: Sequence[str], remembered: Remembered | None) -> Reply:
    if not found:
        return answer_search(scene.incoming, [], (scene.say("search.nothing"), "breeds"))
    if remembered is None:
        action = scene.say("search.show")
        below = scene.say("search.invite", bot=scene.knowledge.username)
    else:
        action = scene.say("search.tell")
        below = f"📷 {tag(remembered.prediction_id)}"
    results: list[JsonValue] = [
        {
            "type": "article",
            "id": str(place),
            "title": title(key),
            "description": ", ".join((action, *other_names(key)))[:100],
            "input_message_content": {
                "message_text": f"🐶 {title(key)}\n{below}",
                "link_preview_options": {"is_disabled": True},
            },
        }
        for place, key in enumerate(found)
    ]
    return answer_search(scene.incoming, results)


def _rank(wanted: Sequence[str], key: str) -> int | None:
    words = _words(key)
    if " ".join(words).startswith(" ".join(wanted)):
        return 1
    if _begin(wanted, words):
        return 2
    if any(_begin(wanted, _words(name)) for name in other_names(key)):
        return 3
    squashed = "".join(wanted)
    return 4 if len(squashed) > 2 and squashed in "".join(words) else None


def _begin(wanted: Sequence[str], words: Sequence[str]) -> bool:
    return all(any(word.startswith(one) for word in words) for one in wanted)


def _similar(asked: str, pool: Sequence[str], most: int) -> tuple[str, ...]:
    import difflib

    spelled = {"".join(_words(name)): key for key in pool for name in (*other_names(key), key)}
    close = difflib.get_close_matches(asked, spelled, n=most, cutoff=_CLOSE)
    return tuple(dict.fromkeys(spelled[name] for name in close))


@lru_cache(maxsize=2048)  # names of breeds, the same for each letter that is typed
def _words(name: str) -> tuple[str, ...]:
    text = unicodedata.normalize("NFKD", name.casefold())
    return tuple(re.findall(r"[a-z0-9]+", "".join(c for c in text if c.isascii())))
