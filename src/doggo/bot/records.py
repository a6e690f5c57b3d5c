"""What the bot takes in and gives back, as frozen records.

    Telegram ─▶ Incoming ─▶ inbox ─▶ Turn ─▶ outbox (Reply) ─▶ Telegram

Owns the few fields of an update that an answer needs: ids, a file, the words of a command. Never
a name, a title or an address. Knows nothing of HTTP, databases or the words of an answer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from doggo.core.records import Prediction

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"


class ChatKind(StrEnum):
    """Where a message was written."""

    PRIVATE = "private"
    GROUP = "group"  # supergroups too
    NONE = "none"  # an inline query belongs to no chat: its chat is its user


class Kind(StrEnum):
    """What an update asks of the bot."""

    PHOTO = "photo"  # look at `file`, whatever message it came with
    UNFIT = "unfit"  # a file that is no picture, or a kind of message we cannot look at
    COMMAND = "command"  # `command` and its argument in `text`
    TEXT = "text"  # words to the bot; `text` only where they answer a question of the bot
    TAP = "tap"  # a button; its data in `text`
    SEARCH = "search"  # an inline query, in `text`
    LEFT = "left"  # the user blocked the bot, or a group removed it
    JOINED = "joined"  # the user unblocked the bot, or a group took it in


class Preview(StrEnum):
    """What `file` is when it is not the picture itself."""

    NONE = "none"
    MOTION = "motion"  # Telegram's still of a GIF or video


@dataclass(frozen=True, kw_only=True, slots=True)
class FileRef:
    """A file at Telegram.

    Attributes:
        size_bytes: as announced; None if not.
    """

    file_id: str
    size_bytes: int | None = None
    preview: Preview = Preview.NONE


@dataclass(frozen=True, kw_only=True, slots=True)
class Incoming:
    """One update, reduced to what its answer needs.

    Attributes:
        update_id: Telegram's; unique for a bot.
        chat_id: where the answer goes; orders updates (an inline query's is its user).
        user_id: who asks.
        language: IETF tag of the user's app, such as `pt-br`; empty if unknown.
        message_id: to reply to; 0 if there is none. For a tap: the message with the button.
        thread_id: topic of a forum, else None.
        file: the picture to look at (PHOTO), the largest size.
        album: shared by the photos of one album, else empty.
        command: without slash and bot name, lower case (COMMAND).
        text: argument, caption, button data, query or search words: only what is needed.
        callback_id: to answer a tap or an inline query with.
        sent_at: Unix seconds; 0 if unknown.
    """

    update_id: int
    kind: Kind
    chat_id: int
    chat_kind: ChatKind
    user_id: int
    language: str = ""
    message_id: int = 0
    thread_id: int | None = None
    file: FileRef | None = None
    album: str = ""
    command: str = ""
    text: str = field(default="", repr=False)
    callback_id: str = field(default="", repr=False)
    sent_at: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Unanswered:
    """An update that asks nothing of us: recorded by its id alone.

    Attributes:
        kind: stable word for the metrics, such as `not_for_us`, `unknown_kind`, `unreadable`.
    """

    update_id: int
    kind: str


class Method(StrEnum):
    """The methods of the Bot API that a reply may call."""

    SEND_MESSAGE = "sendMessage"
    EDIT_TEXT = "editMessageText"
    EDIT_BUTTONS = "editMessageReplyMarkup"
    ANSWER_TAP = "answerCallbackQuery"
    ANSWER_SEARCH = "answerInlineQuery"


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """One call that answers an update; a row of the outbox until Telegram took it.

    Attributes:
        chat_id: whose limits it counts against.
        arguments: of the method, by the Bot API's names, JSON; `chat_id` is in here as well
            where the method wants it.
        lasts_s: dropped unsent after this many seconds (a tap's answer is useless later);
            None: it is sent whenever it can be.
    """

    method: Method
    chat_id: int
    arguments: dict[str, JsonValue] = field(repr=False)
    lasts_s: float | None = None


class Refusal(StrEnum):
    """Why a photo has no prediction: the words are in the catalogue."""

    TOO_BIG = "too_big"  # over Telegram's 20 MB for bots, or over our limit of pixels
    NOT_A_PICTURE = "not_a_picture"
    BROKEN = "broken"  # cut off, damaged, or too slow to decode
    GONE = "gone"  # Telegram no longer has the file
    BUSY = "busy"  # too many photos are waiting
    NO_MODEL = "no_model"  # nothing is in production


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What came of looking at one photo of a message or album."""

    incoming: Incoming
    outcome: Prediction | Refusal


class Consent(StrEnum):
    """Whether a user's photos may be kept."""

    UNASKED = "unasked"
    ASKED = "asked"
    YES = "yes"
    NO = "no"


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """What is known of a user between two messages; kept under an HMAC of the id.

    Attributes:
        language: the one they chose; empty: their app's.
        blocked: they blocked the bot.
    """

    language: str = ""
    consent: Consent = Consent.UNASKED
    blocked: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Remembered:
    """A prediction that was told, for the buttons under it.

    Attributes:
        breeds: keys, best first, more than were shown.
        album: ids of the predictions of all photos that were answered together, in their order,
            empty where a photo had none; () for a photo of its own. The numbers under an album's
            answer are built from it.
    """

    prediction_id: str
    model_version: int
    verdict: str
    breeds: tuple[str, ...]
    album: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Feedback:
    """What a user says a photo shows. One a prediction and user; a later one replaces it.

    Attributes:
        breed: key of the breed; None: the user does not know.
        source: `tap`, `search` or `caption`.
    """

    prediction_id: str
    breed: str | None
    source: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """Everything that one update (or one album) leads to; takes effect as a whole.

    Attributes:
        replies: in order.
        person: what is known of the user from now on; None: as before.
        told: predictions to remember, of this user.
        feedback: the user's words on predictions.
        forget: erase all that is kept of the user (`replies` are still sent).
    """

    replies: tuple[Reply, ...] = ()
    person: Person | None = None
    told: tuple[Remembered, ...] = ()
    feedback: tuple[Feedback, ...] = ()
    forget: bool = False
