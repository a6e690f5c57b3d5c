"""parse_mode HTML: Telegram's own tags to plain text and entities, or a refusal.

Owns the grammar and its errors, after td_api's parse_html (tdlib, MessageEntity.cpp). Offsets of
entities count UTF-16 units, those in errors count bytes, as Telegram's do. MarkdownV2 is not read.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field

from doggo.telegram_sim.objects import MessageEntity
from doggo.telegram_sim.refusal import ApiError, bad_request

_KINDS = {
    "b": "bold",
    "strong": "bold",
    "i": "italic",
    "em": "italic",
    "u": "underline",
    "ins": "underline",
    "s": "strikethrough",
    "strike": "strikethrough",
    "del": "strikethrough",
    "tg-spoiler": "spoiler",
    "span": "spoiler",
    "a": "text_link",
    "code": "code",
    "pre": "pre",
    "blockquote": "blockquote",
    "tg-emoji": "custom_emoji",
}
_TAG = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9-]*)((?:\s+[^<>]*)?)\s*>")
_ATTRIBUTE = re.compile(r"\s*([A-Za-z-]+)\s*(?:=\s*(\"[^\"]*\"|'[^']*'|[^\s\"'>]+))?")
_CHARACTER = re.compile(r"&(lt|gt|amp|quot|#[0-9]{1,7}|#x[0-9A-Fa-f]{1,6});")
_DETECTED = re.compile(
    r"(?P<bot_command>(?<![\w/<>])/[a-z0-9_]{1,32}(?:@[A-Za-z]\w{3,31})?(?![\w/]))"
    r"|(?P<mention>(?<![\w`@])@[A-Za-z]\w{3,31}\b)"
    r"|(?P<url>\bhttps?://[^\s<>\"']+)",
    re.IGNORECASE,
)


@dataclass(slots=True)
class _Open:
    tag: str
    offset: int
    attributes: dict[str, str]


@dataclass(slots=True)
class _Reading:
    """What was read so far of a text with tags."""

    parts: list[str] = field(default_factory=list)
    length: int = 0
    opened: list[_Open] = field(default_factory=list)
    entities: list[MessageEntity] = field(default_factory=list)

    def add(self, text: str) -> None:
        plain = _CHARACTER.sub(lambda found: html.unescape(found[0]), text)
        self.parts.append(plain)
        self.length += utf16_length(plain)


def utf16_length(text: str) -> int:
    """Return the length in UTF-16 units: what offsets of entities count."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def formatted(
    text: str, parse_mode: str, entities: list[MessageEntity] | None
) -> tuple[str, list[MessageEntity]]:
    """Return what people see of a text, and its entities.

    Args:
        parse_mode: empty, or HTML in any case.
        entities: given instead of a parse mode.

    Raises:
        ApiError: another parse mode, or tags that Telegram does not have or are not balanced.
    """
    if not parse_mode:
        return _stripped(text, list(entities or ()))
    if parse_mode.lower() in ("markdown", "markdownv2"):
        raise bad_request(f"the simulator reads parse_mode HTML only, not {parse_mode}")
    if parse_mode.lower() != "html":
        raise bad_request("unsupported parse_mode")
    return _stripped(*parse_html(text))


def parse_html(text: str) -> tuple[str, list[MessageEntity]]:
    """Return the plain text and its entities, in their order.

    Raises:
        ApiError: "can't parse entities", with Telegram's reason.
    """
    reading = _Reading()
    place = 0
    while (start := text.find("<", place)) >= 0:
        reading.add(text[place:start])
        found = _TAG.match(text, start)
        if found is None:
            raise _broken(f"Unclosed start tag at byte offset {_bytes_before(text, start)}")
        if found[1]:
            _close(reading, found[2].lower(), _bytes_before(text, start))
        else:
            _open(reading, found[2].lower(), found[3], _bytes_before(text, start))
        place = found.end()
    reading.add(text[place:])
    if reading.opened:
        unclosed = reading.opened[-1].tag
        raise _broken(f'Can\'t find end tag corresponding to start tag "{unclosed}"')
    reading.entities.sort(key=lambda entity: (entity["offset"], -entity["length"]))
    return "".join(reading.parts), reading.entities


def detected(text: str) -> list[MessageEntity]:
    """Return the commands, mentions and addresses that Telegram finds in a text by itself."""
    return [
        {
            "type": str(found.lastgroup),
            "offset": utf16_length(text[: found.start()]),
            "length": utf16_length(found[0]),
        }
        for found in _DETECTED.finditer(text)
    ]


def with_detected(text: str, entities: list[MessageEntity]) -> list[MessageEntity]:
    """Return entities and what Telegram finds outside of them."""
    taken = [(one["offset"], one["offset"] + one["length"]) for one in entities]
    free = [
        one
        for one in detected(text)
        if all(one["offset"] >= end or one["offset"] + one["length"] <= at for at, end in taken)
    ]
    return sorted([*entities, *free], key=lambda one: (one["offset"], -one["length"]))


def _open(reading: _Reading, tag: str, rest: str, offset: int) -> None:
    if tag not in _KINDS:
        raise _broken(f'Unsupported start tag "{tag}" at byte offset {offset}')
    attributes = {
        found[1].lower(): html.unescape((found[2] or "").strip("\"'"))
        for found in _ATTRIBUTE.finditer(rest)
    }
    if tag == "span" and attributes.get("class") != "tg-spoiler":
        raise _broken(f'Tag "span" must have class "tg-spoiler" at byte offset {offset}')
    reading.opened.append(_Open(tag, reading.length, attributes))


def _close(reading: _Reading, tag: str, offset: int) -> None:
    if not reading.opened:
        raise _broken(f"Unexpected end tag at byte offset {offset}")
    opened = reading.opened.pop()
    if opened.tag != tag:
        raise _broken(
            f'Unmatched end tag at byte offset {offset}, expected "</{opened.tag}>", '
            f'found "</{tag}>"'
        )
    length = reading.length - opened.offset
    if length and (entity := _entity(opened, length, "".join(reading.parts))) is not None:
        _keep(reading.entities, entity, opened)


def _entity(opened: _Open, length: int, text: str) -> MessageEntity | None:
    entity: MessageEntity = {"type": _KINDS[opened.tag], "offset": opened.offset, "length": length}
    if opened.tag == "a":
        url = opened.attributes.get("href") or _last(text, length)
        if not re.match(r"(?:https?|tg|mailto|tel):", url, re.IGNORECASE):
            if not re.match(r"[\w-]+(?:\.[\w-]+)+(?:[/?#:]|$)", url):
                return None  # Telegram shows the words and drops an address that is none
            url = f"http://{url}"
        entity["url"] = url
    elif opened.tag == "tg-emoji":
        entity["custom_emoji_id"] = opened.attributes.get("emoji-id", "")
    elif opened.tag == "blockquote" and "expandable" in opened.attributes:
        entity["type"] = "expandable_blockquote"
    elif opened.tag == "code":
        language = opened.attributes.get("class", "").removeprefix("language-")
        if language and "class" in opened.attributes:
            entity["language"] = language
    return entity


def _keep(entities: list[MessageEntity], entity: MessageEntity, opened: _Open) -> None:
    """<pre><code class="language-x"> is one entity: `pre` with a language."""
    last = entities[-1] if entities else None
    if opened.tag == "pre" and last is not None and last["type"] == "code":
        if (last["offset"], last["length"]) == (entity["offset"], entity["length"]):
            entities.pop()
            if "language" in last:
                entity["language"] = last["language"]
    elif opened.tag != "code" and "language" in entity:
        del entity["language"]
    entities.append(entity)


def _last(text: str, length: int) -> str:
    return text.encode("utf-16-le", "surrogatepass")[-2 * length :].decode("utf-16-le", "replace")


def _stripped(text: str, entities: list[MessageEntity]) -> tuple[str, list[MessageEntity]]:
    """Telegram trims a text; entities move along."""
    left = utf16_length(text) - utf16_length(text.lstrip())
    plain = text.strip()
    most = utf16_length(plain)
    kept: list[MessageEntity] = []
    for entity in entities:
        start = max(0, entity["offset"] - left)
        end = min(most, entity["offset"] + entity["length"] - left)
        if end > start:
            moved = entity.copy()
            moved["offset"], moved["length"] = start, end - start
            kept.append(moved)
    return plain, kept


def _bytes_before(text: str, place: int) -> int:
    return len(text[:place].encode(errors="surrogatepass"))


def _broken(words: str) -> ApiError:
    return bad_request(f"can't parse entities: {words}")
