"""parse_mode HTML: Telegram's tags become entities, anything else is refused."""

from __future__ import annotations

import html

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from doggo.telegram_sim.formatting import detected, formatted, parse_html, utf16_length
from doggo.telegram_sim.objects import MessageEntity
from doggo.telegram_sim.refusal import ApiError

TEXTS = st.text(st.characters(codec="utf-8"), max_size=60)
TAGS = st.sampled_from(["b", "i", "u", "s", "code", "pre", "tg-spoiler", "strong", "em", "del"])


def cut(text: str, entity: MessageEntity) -> str:
    """Return the words of an entity."""
    start, end = entity["offset"], entity["offset"] + entity["length"]
    return text.encode("utf-16-le")[2 * start : 2 * end].decode("utf-16-le")


def shown(text: str) -> list[tuple[str, str]]:
    """Return kind and words of every entity of a marked-up text."""
    plain, entities = formatted(text, "HTML", None)
    return [(one["type"], cut(plain, one)) for one in entities]


def test_tags_become_entities_that_count_utf16_units() -> None:
    assert shown("👋 <b>bold <i>both</i></b> &lt;x&gt; &amp;&#128054;") == [
        ("bold", "bold both"),
        ("italic", "both"),
    ]
    plain, entities = parse_html("👋<b>x</b>")
    assert (plain, entities) == ("👋x", [{"type": "bold", "offset": 2, "length": 1}])


@pytest.mark.parametrize(
    ("text", "entity"),
    [
        ('<a href="https://a.example/?a=1&amp;b=2">x</a>', {"type": "text_link", "url": "https://a.example/?a=1&b=2"}),
        ("<a href='a.example'>x</a>", {"type": "text_link", "url": "http://a.example"}),
        ('<span class="tg-spoiler">x</span>', {"type": "spoiler"}),
        ("<blockquote expandable>x</blockquote>", {"type": "expandable_blockquote"}),
        ('<pre><code class="language-py">x</code></pre>', {"type": "pre", "language": "py"}),
        ('<tg-emoji emoji-id="5">x</tg-emoji>', {"type": "custom_emoji", "custom_emoji_id": "5"}),
        ("<B>x</B>", {"type": "bold"}),
    ],
)  # fmt: skip
def test_tags_with_attributes(text: str, entity: dict[str, str]) -> None:
    assert parse_html(text) == ("x", [{"offset": 0, "length": 1, **entity}])


def test_an_address_that_is_none_leaves_the_words() -> None:
    assert parse_html('<a href="javascript:alert(1)">x</a>') == ("x", [])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<x>a</x>", 'Unsupported start tag "x" at byte offset 0'),
        ("é<h1>a</h1>", 'Unsupported start tag "h1" at byte offset 2'),
        ("<b>a", 'Can\'t find end tag corresponding to start tag "b"'),
        ("a</b>", "Unexpected end tag at byte offset 1"),
        ("<b><i>a</b></i>", 'Unmatched end tag at byte offset 7, expected "</i>", found "</b>"'),
        ("1 < 2", "Unclosed start tag at byte offset 2"),
        ("<b", "Unclosed start tag at byte offset 0"),
        ("<span>a</span>", 'Tag "span" must have class "tg-spoiler" at byte offset 0'),
    ],
)
def test_what_is_no_markup_of_telegram_is_refused(text: str, words: str) -> None:
    with pytest.raises(ApiError) as refused:
        parse_html(text)
    assert refused.value.description == f"Bad Request: can't parse entities: {words}"


def test_commands_mentions_and_addresses_are_found_without_markup() -> None:
    text = "👋 /dog@some_bot a/b @Ada_99 me@mail.example http://x.example/?q=1"
    assert [(one["type"], cut(text, one)) for one in detected(text)] == [
        ("bot_command", "/dog@some_bot"),
        ("mention", "@Ada_99"),
        ("url", "http://x.example/?q=1"),
    ]


@given(TEXTS)
def test_escaped_text_comes_back_as_it_was(text: str) -> None:
    assert parse_html(html.escape(text)) == (text, []) or "&" in text


@given(st.lists(st.tuples(TAGS, TEXTS), max_size=8))
def test_nested_tags_cover_what_they_enclose(parts: list[tuple[str, str]]) -> None:
    marked, plain = "", ""
    for tag, text in parts:
        words = text.replace("&", "").replace("<", "").replace(">", "")
        marked = f"<{tag}>{words}{marked}</{tag}>"
        plain = words + plain
    read, entities = parse_html(marked)
    assert read == plain
    for entity in entities:
        assert 0 < entity["length"] <= utf16_length(plain)
        assert entity["offset"] + entity["length"] == utf16_length(plain)


@given(st.text(st.sampled_from("<>/abcode \"'=&;lt#1👋\n"), max_size=40))
@settings(max_examples=300)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        plain, entities = formatted(text, "HTML", None)
    except ApiError:
        return
    for entity in entities:
        end = entity["offset"] + entity["length"]
        assert 0 <= entity["offset"] < end <= utf16_length(plain)
