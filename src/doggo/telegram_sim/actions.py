"""What can be asked of the people over HTTP: one action, or many at once.

Owns the shapes of `POST /sim/do` and what each returns. Files are uploaded first and named by
their id, so that a thousand messages may share one photo.
"""

from __future__ import annotations

import base64
import itertools
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, RootModel

from doggo.telegram_sim.attachments import KINDS
from doggo.telegram_sim.faults import Fault, Trouble
from doggo.telegram_sim.people import WrongMoveError, prepared
from doggo.telegram_sim.pictures import Prepared
from doggo.telegram_sim.telegram import Telegram

MOST_AT_ONCE = 10_000


class Uploads:
    """Files that wait to be sent, by id; a photo is brought into its sizes once."""

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}
        self._photos: dict[str, Prepared] = {}
        self._ids = itertools.count(1)

    def add(self, data: bytes) -> str:
        """Keep a file; returns its id."""
        upload = f"upload-{next(self._ids)}"
        self._files[upload] = data
        return upload

    def file(self, upload: str) -> bytes:
        """Return a file."""
        try:
            return self._files[upload]
        except KeyError:
            raise WrongMoveError(f"there is no upload {upload!r}") from None

    def photo(self, upload: str) -> Prepared:
        """Return a photo in its sizes."""
        if upload not in self._photos:
            self._photos[upload] = prepared(self.file(upload))
        return self._photos[upload]


class Action(BaseModel):
    """Something that a person does."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def act(self, telegram: Telegram, uploads: Uploads) -> object:
        """Do it; returns JSON."""
        raise NotImplementedError


class AddUser(Action):
    do: Literal["user"]
    first_name: str = Field(default="Ada", min_length=1, max_length=64)
    language_code: str = Field(default="en", max_length=35)
    id: int | None = None

    def act(self, telegram: Telegram, uploads: Uploads) -> object:
        return telegram.people.add_user(self.first_name, self.language_code, self.id)


class AddGroup(Action):
    do: Literal["group"]
    title: str = Field(min_length=1, max_length=128)
    members: list[int]
    bot: bool = True

    def act(self, telegram: Telegram, uploads: Uploads) -> object:
        return {"chat": telegram.people.add_group(self.title, self.members, bot=self.bot)}


class _Spoken(Action):
    chat: int
    user: int
    reply_to: int | None = None


class SendText(_Spoken):
    do: Literal["text"]
    text: str = Field(max_length=4096)

    def act(self, telegram: Telegram, uploads: Uploads) -> object:
        return telegram.people.send_text(self.chat, self.user, self.text, reply_to=self.reply_to)


class SendPhoto(_Spoken):
    do: Literal["photo"]
    upload: str
    caption: str = Field(default="", max_length=1024)

    def act(self, telegram: Telegram, uploads: Uploads) -> object:
        return telegram.people.send_photo(
            self.chat,
            self.user,
            uploads.photo(self.upload),
            caption=self.caption,
            reply_to=self.reply_to,
        )


class SendAlbum(Action):
    do: Literal["album"]
    chat: int
    user: int
    uploads: list[str]
    caption: str = Field(default="", max_length=1024)

    def act(self, telegram: Telegram, uploads: Uploads) -> object:
        photos = [uploads.photo(upload) for upload in self.uploads]
        return telegram.people.send_album(self.chat, self.user, photos, caption=self.caption)


class SendFile(_Spoken):
    do: Literal["file"]
    upload: str
    kind: str = KINDS[0]
    name: str = ""
    mime_type: str = "application/octet-stream"
    still: str | None = None
    size_bytes: int | None = Field(default=None, ge=0)
    caption: str = Field(default="", max_length=1024)

    def act(self, telegram: Telegram, uploads: Uploads) -> object:
        return telegram.people.send_file(
            self.chat,
            self.user,
            uploads.file(self.upload),
            kind=self.kind,
            name=self.name,
            mime_type=self.mime_type,
            still=None if self.still is None else uploads.photo(self.still),
            size_bytes=self.size_bytes,
            caption=self.caption,
            reply_to=self.reply_to,
        )


class EditText(Action):
    do: Literal["edit"]
    chat: int
    message: int
    text: str = Field(min_length=1, max_length=4096)

    def act(self, telegram: Telegram, uploads: Uploads) -> object:
        return telegram.people.edit_text(self.chat, self.message, self.text)


class Tap(Action):
    do: Literal["tap"]
    chat: int
    user: int
    message: int
    data: str

    def act(self, telegram: Telegram, uploads: Uploads) -> object:
        return {"query": telegram.people.tap(self.user, self.chat, self.message, self.data)}


class AskInline(Action):
    do: Literal["inline"]
    chat: int
    user: int
    query: str

    def act(self, telegram: Telegram, uploads: Uploads) -> object:
        return {"query": telegram.inline.ask(self.user, self.chat, self.query)}


class ChooseResult(Action):
    do: Literal["choose"]
    query: str
    result: str

    def act(self, telegram: Telegram, uploads: Uploads) -> object:
        return telegram.inline.choose(self.query, self.result)


class Turn(Action):
    """Block or unblock the bot; add it to a group or remove it."""

    do: Literal["block", "unblock", "admit", "expel"]
    user: int
    chat: int | None = None

    def act(self, telegram: Telegram, uploads: Uploads) -> object:
        people = telegram.people
        if self.do in ("admit", "expel"):
            if self.chat is None:
                raise WrongMoveError(f"{self.do} wants a chat")
            move = people.admit_bot if self.do == "admit" else people.expel_bot
            move(self.chat, self.user)
        else:
            (people.block if self.do == "block" else people.unblock)(self.user)
        return True


class SendRaw(Action):
    """Send bytes as an update, whatever they are."""

    do: Literal["raw"]
    base64: str
    chat: int = 0

    def act(self, telegram: Telegram, uploads: Uploads) -> object:
        try:
            body = base64.b64decode(self.base64, validate=True)
        except ValueError as error:
            raise WrongMoveError(f"not base64: {error}") from error
        telegram.backlog.add_raw(body, chat_id=self.chat)
        return True


class Repeat(Action):
    """Deliver an update again, many times at once."""

    do: Literal["repeat"]
    update_id: int
    times: int = Field(default=1, ge=1, le=1000)

    def act(self, telegram: Telegram, uploads: Uploads) -> object:
        try:
            telegram.backlog.repeat(self.update_id, self.times)
        except KeyError:
            raise WrongMoveError(f"there was no update {self.update_id}") from None
        return True


class Fail(Action):
    """Make something go wrong."""

    do: Literal["fail"]
    trouble: Trouble
    method: str = "*"
    chat: int | None = None
    times: int | None = Field(default=1, ge=1)
    probability: float = Field(default=1.0, ge=0, le=1)
    retry_after_s: int = Field(default=1, ge=1)
    seconds: float = Field(default=30.0, ge=0)
    seed: int = 0

    def act(self, telegram: Telegram, uploads: Uploads) -> object:
        telegram.faults.add(
            Fault(
                trouble=self.trouble,
                method=self.method,
                chat_id=self.chat,
                times=self.times,
                probability=self.probability,
                retry_after_s=self.retry_after_s,
                seconds=self.seconds,
                seed=self.seed,
            )
        )
        return True


class Heal(Action):
    """Let everything go well again, and held updates go."""

    do: Literal["heal"]

    def act(self, telegram: Telegram, uploads: Uploads) -> object:
        telegram.faults.clear()
        telegram.backlog.release()
        return True


AnyAction: TypeAlias = Annotated[
    AddUser
    | AddGroup
    | SendText
    | SendPhoto
    | SendAlbum
    | SendFile
    | EditText
    | Tap
    | AskInline
    | ChooseResult
    | Turn
    | SendRaw
    | Repeat
    | Fail
    | Heal,
    Field(discriminator="do"),
]


class OneOrMany(RootModel[AnyAction | Annotated[list[AnyAction], Field(max_length=MOST_AT_ONCE)]]):
    """The body of `POST /sim/do`."""
