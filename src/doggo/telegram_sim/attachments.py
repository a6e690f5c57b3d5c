"""Files in messages, other than photos: how each kind looks to the bot."""

from __future__ import annotations

from doggo.telegram_sim.objects import Document, Message, PhotoSize
from doggo.telegram_sim.records import StoredFile

KINDS = ("document", "animation", "video", "voice", "sticker")

_DURATION_S = 3
_SIDE_PX = 320  # of a motion without a still
_STICKER_PX = 512


def attach(
    message: Message, kind: str, stored: StoredFile, name: str, still: PhotoSize | None
) -> None:
    """Put a file into a message.

    Args:
        kind: one of `KINDS`.
        still: the picture that stands for it.

    Raises:
        KeyError: it is none of them.
    """
    if kind not in KINDS:
        raise KeyError(kind)
    document = _document(stored, name, still)
    if kind in ("document", "animation"):
        # An animation is a document as well, for bots that are older than animations.
        message["document"] = document
    if kind in ("animation", "video"):
        width, height = (still["width"], still["height"]) if still else (_SIDE_PX, _SIDE_PX)
        moving = {**document, "width": width, "height": height, "duration": _DURATION_S}
        message[kind] = moving  # type: ignore[literal-required]
    elif kind == "voice":
        message["voice"] = {
            "file_id": stored.file_id,
            "file_unique_id": stored.unique_id,
            "duration": _DURATION_S,
            "mime_type": stored.mime_type,
            "file_size": stored.size_bytes,
        }
    elif kind == "sticker":
        _stick(message, stored, still)


def _document(stored: StoredFile, name: str, still: PhotoSize | None) -> Document:
    document: Document = {
        "file_id": stored.file_id,
        "file_unique_id": stored.unique_id,
        "mime_type": stored.mime_type,
        "file_size": stored.size_bytes,
    }
    if name:
        document["file_name"] = name
    if still is not None:
        document["thumbnail"] = still
    return document


def _stick(message: Message, stored: StoredFile, still: PhotoSize | None) -> None:
    message["sticker"] = {
        "file_id": stored.file_id,
        "file_unique_id": stored.unique_id,
        "type": "regular",
        "width": _STICKER_PX,
        "height": _STICKER_PX,
        "is_animated": False,
        "is_video": False,
        "file_size": stored.size_bytes,
    }
    if still is not None:
        message["sticker"]["thumbnail"] = still
