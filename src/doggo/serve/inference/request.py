"""The body of an inference request becomes photos.

Owns the protocol's request object, its binary extension, and which inputs are photos: one input
`photo` of the datatype BYTES and the shape [N] or [N, 1]; base64 in JSON, the photo itself in
binary. Pure; knows nothing of connections or models.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NoReturn

from pydantic import ValidationError
from pydantic_core import from_json

from doggo.serve.inference.answer import OUTPUTS, Wanted
from doggo.serve.inference.literals import Skeleton, set_aside
from doggo.serve.inference.schemas import MOST_ID, InferenceBody, PhotoInput, WantedOutput
from doggo.serve.problems import ProblemError

_CHUNK = 256 * 1024  # base64 characters decoded in a millisecond; a multiple of 4
_LENGTH_BYTES = 4
_MOST_BYTES_A_CHARACTER = 12  # two \\u escapes


@dataclass(frozen=True, kw_only=True, slots=True)
class InferenceRequest:
    """What a client wants to know about its photos.

    Attributes:
        photos: their bytes, not yet looked at; one at least.
        id: comes back with the answer.
        outputs: in the client's order.
    """

    photos: Sequence[bytes]
    id: str | None
    outputs: Sequence[Wanted]


def parse(body: bytes, json_bytes: int | None, *, most_photos: int) -> InferenceRequest:
    """Return the request that a body holds.

    Args:
        json_bytes: length of the JSON before the binary data, 0 if the body is one photo and
            nothing else; None: all of it is JSON.

    Raises:
        ProblemError: the body is no request for this model, or has more than `most_photos`.
    """
    if json_bytes == 0:
        return InferenceRequest(photos=(body,), id=None, outputs=_wanted(None, binary=False))
    text = body[:json_bytes]
    if json_bytes is not None and len(text) < json_bytes:
        _refuse("Inference-Header-Content-Length is more than the body has")
    skeleton = set_aside(text)
    asked = _validated(skeleton.text)
    photos = _photos(asked.inputs[0], skeleton, memoryview(body)[len(text) :], most_photos)
    outputs = _wanted(asked.outputs, binary=asked.binary)
    return InferenceRequest(photos=list(photos), id=_id(asked.id, skeleton), outputs=outputs)


def _validated(text: bytes) -> InferenceBody:
    try:
        return InferenceBody.model_validate_json(text)
    except ValidationError as error:
        # What the client wrote is not repeated: it may be anything.
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        parts = [str(part) for part in first["loc"] if "[" not in str(part)]
        place = ".".join(parts) or "the body"
        _refuse(f"{place}: {first['msg']}")


def _id(value: str | None, skeleton: Skeleton) -> str | None:
    if value is None or (literal := skeleton.literal(value)) is None:
        return value
    found = _text(literal)
    if found is None or len(found) > MOST_ID:
        _refuse(f"id: a string of {MOST_ID} characters at most")
    return found


def _text(literal: bytes) -> str | None:
    if len(literal) > MOST_ID * _MOST_BYTES_A_CHARACTER:
        return None
    try:
        return str(from_json(b'"%b"' % literal))
    except ValueError:
        return None


def _wanted(asked: Sequence[WantedOutput] | None, *, binary: bool) -> list[Wanted]:
    named = {output.name: output.binary for output in asked or ()}
    return [
        Wanted(name=name, binary=binary if own is None else own)
        for name, own in (named or dict.fromkeys(OUTPUTS)).items()
    ]


def _photos(
    photo: PhotoInput, skeleton: Skeleton, binary: memoryview, most_photos: int
) -> Iterator[bytes]:
    count = photo.shape[0]
    if count < 1 or photo.shape[1:] not in ([], [1]):
        _refuse("inputs.0.shape: [N] or [N, 1], with one photo at least")
    if count > most_photos:
        raise ProblemError("too-large", f"a request may have {most_photos} photos at most")
    if len(binary) != (photo.binary_data_size or 0):
        _refuse(f"binary_data_size: {len(binary)} bytes follow the JSON")
    if photo.binary_data_size is None:
        return _from_json(photo, skeleton)
    if photo.data is not None:
        _refuse("inputs.0: either data or binary_data_size")
    return _from_binary(binary, count)


def _from_json(photo: PhotoInput, skeleton: Skeleton) -> Iterator[bytes]:
    elements = []
    for row in photo.data or ():
        if isinstance(row, str):
            elements.append(row)
        elif len(row) == 1 == photo.shape[-1] and len(photo.shape) == 2:
            elements += row
        else:
            _refuse("inputs.0.data: nested otherwise than the shape says")
    if len(elements) != photo.shape[0]:
        _refuse(f"inputs.0.data: has {len(elements)} elements, the shape says {photo.shape[0]}")
    for element in elements:
        literal = skeleton.literal(element)
        # Some writers of JSON escape slashes.
        yield _base64(element.encode() if literal is None else literal.replace(b"\\/", b"/"))


def _base64(data: bytes) -> bytes:
    """Return what `data` encodes, decoded in pieces: each holds the interpreter's lock."""
    text = memoryview(data)
    pieces = []
    for start in range(0, len(text), _CHUNK):
        piece = text[start : start + _CHUNK]
        try:
            pieces.append(binascii.a2b_base64(piece, strict_mode=True))
        except binascii.Error:
            _refuse("inputs.0.data: not base64 (no line breaks; the standard alphabet)")
        if len(pieces[-1]) != _CHUNK // 4 * 3 and start + _CHUNK < len(text):
            _refuse("inputs.0.data: not base64 (it goes on after its end)")
    return b"".join(pieces)


def _from_binary(data: memoryview, count: int) -> Iterator[bytes]:
    """Yield elements of a BYTES tensor: each has its length before it, little-endian."""
    at = 0
    for place in range(1, count + 1):
        begin = at + _LENGTH_BYTES
        at = begin + int.from_bytes(data[begin - _LENGTH_BYTES : begin], "little")
        if begin > len(data) or at > len(data):
            _refuse(f"the binary data ends within element {place} of {count}")
        yield bytes(data[begin:at])
    if at != len(data):
        _refuse(f"the binary data goes on after element {count}, which the shape says is the last")


def _refuse(detail: str) -> NoReturn:
    raise ProblemError("bad-request", detail)
