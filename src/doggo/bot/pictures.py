"""Which file of a message holds its picture.

Knows Telegram's kinds of files and nothing of their contents: what a file really is, is judged
by its bytes once it was fetched.
"""

from __future__ import annotations

from doggo.bot.reading import Json, child, children, number, words
from doggo.core.chat import FileRef, Preview

_MAX_FILE_ID = 512
_PICTURE_ENDINGS = frozenset(
    {
        "jpg",
        "jpeg",
        "jpe",
        "jfif",
        "png",
        "webp",
        "heic",
        "heif",
        "avif",
        "gif",
        "tif",
        "tiff",
        "bmp",
    }
)
_VAGUE_TYPES = frozenset({"", "application/octet-stream", "binary/octet-stream"})
_UNFIT = (
    "document", "animation", "video", "video_note", "sticker", "audio", "voice", "contact",
    "location", "venue", "poll", "dice", "game", "story", "paid_media", "invoice", "checklist",
)  # fmt: skip


def picture_in(message: Json) -> FileRef | None:
    """Return the picture of a message: the largest size, or the still of something that moves."""
    photo = max(children(message, "photo"), key=_area, default=None)
    if photo is not None:
        return _file(photo)
    for name in ("animation", "video", "video_note"):  # an animation is a document as well
        if name in message:
            return _file(child(child(message, name), "thumbnail"), Preview.MOTION)
    sticker = child(message, "sticker")
    if sticker and not (sticker.get("is_animated") or sticker.get("is_video")):
        return _file(sticker)
    document = child(message, "document")
    return _file(document) if document and _may_be_picture(document) else None


def unfit_in(message: Json) -> bool:
    """Return whether a message brings something, but no picture."""
    return any(name in message for name in _UNFIT)


def _area(size: Json) -> tuple[int, int]:
    width, height = number(size, "width") or 0, number(size, "height") or 0
    return width * height, number(size, "file_size") or 0


def _may_be_picture(document: Json) -> bool:
    kind = words(document, "mime_type", 100).lower()
    if kind.startswith("image/"):
        return True
    ending = words(document, "file_name", 300).lower().rpartition(".")[2]
    return kind in _VAGUE_TYPES and (ending in _PICTURE_ENDINGS or "file_name" not in document)


def _file(file: Json, preview: Preview = Preview.NONE) -> FileRef | None:
    file_id = words(file, "file_id", _MAX_FILE_ID)
    if not file_id:
        return None
    return FileRef(file_id=file_id, size_bytes=number(file, "file_size"), preview=preview)
