"""What the server remembers of calls, deliveries, files and questions that are open.

Owns small records. Users, chats' faces and messages are the API's own types, in `objects.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from doggo.telegram_sim.inputs import InlineQueryResult, InlineQueryResultsButton
from doggo.telegram_sim.objects import Chat, JsonObject, Message


class Presence(StrEnum):
    """Where the bot stands in a chat."""

    UNMET = "unmet"  # the user never wrote: the bot may not begin
    MEMBER = "member"
    BLOCKED = "blocked"  # by its user, or removed from the group


@dataclass(slots=True)
class Room:
    """A chat and all that was said in it.

    Attributes:
        face: the chat as the API shows it.
        members: ids of the users in a group; of a private chat, the user.
        presence: where the bot stands.
        messages: by id, in order.
    """

    face: Chat
    members: set[int]
    presence: Presence
    messages: dict[int, Message] = field(default_factory=dict)

    @property
    def is_private(self) -> bool:
        """Whether it is the chat of one user and the bot."""
        return self.face["type"] == "private"

    def described(self) -> dict[str, object]:
        """Return what the page knows of a chat, without its messages."""
        return {
            "chat": self.face,
            "members": sorted(self.members),
            "presence": self.presence.value,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredFile:
    """A file at Telegram.

    Attributes:
        unique_id: the same for the same bytes.
        size_bytes: as announced; may be more than there are bytes, to rehearse huge files.
        path: under `/file/bot<token>/`.
    """

    file_id: str
    unique_id: str
    data: bytes = field(repr=False)
    size_bytes: int
    path: str
    mime_type: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One request of the bot.

    Attributes:
        method: as the API spells it; `download` for a file.
        chat_id: that the call was about; None if about none.
        arguments: as sent; of a file only its size.
        at: Unix seconds by the server's clock, when it was read.
        status: that was answered; 0 where the answer was withheld.
        description: of an error, else empty.
    """

    method: str
    chat_id: int | None
    arguments: JsonObject = field(repr=False)
    at: float
    status: int
    description: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """One attempt to hand an update to the webhook, or one hand-over by getUpdates.

    Attributes:
        attempt: 1 for the first.
        started_at: seconds of `time.monotonic`, as is `ended_at`.
        status: of the bot's answer; 0 if it gave none. 200 by getUpdates.
    """

    update_id: int | None
    chat_id: int
    attempt: int
    started_at: float
    ended_at: float
    status: int


@dataclass(slots=True)
class Webhook:
    """A webhook that the bot has set, and its last failure.

    Attributes:
        gone_since: when it began to say 410; 0 while it does not.
    """

    url: str
    secret: str = field(default="", repr=False)
    max_connections: int = 40
    last_error_date: int = 0
    last_error: str = ""
    gone_since: float = 0.0


@dataclass(slots=True)
class Tap:
    """A button that was pressed and waits for its answer."""

    user_id: int
    chat_id: int
    at: float


@dataclass(slots=True)
class Question:
    """An inline query, and the results once the bot gave some.

    Attributes:
        results: None until answered.
        button: above the results.
    """

    user_id: int
    chat_id: int
    query: str
    at: float
    results: list[InlineQueryResult] | None = None
    button: InlineQueryResultsButton | None = None
