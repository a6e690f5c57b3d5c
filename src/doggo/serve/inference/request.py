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
from doggo.serve.inference.schemas import InferenceBody, PhotoInput
from doggo.serve.problems import ProblemError

MOST_ID_BYTES = 1024
_CHUNK = 2**20  # base64 characters decoded without giving other threads a turn: a multiple of 4
_LENGTH_BYTES = 4


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
    if json_bytes is None:
        json_bytes = len(body)
    elif json_bytes > len(body):
        _refuse("Inference-Header-Content-Length is more than the body has")
    elif json_bytes == 0:
        return InferenceRequest(photos=(body,), id=None, outputs=_all(binary=False))
    skeleton = set_aside(body[:json_bytes])
    asked = _validated(skeleton.text)
    photo = asked.inputs[0]
    count = _count(photo.shape, most_photos)
    binary = memoryview(body)[json_bytes:]
    if len(binary) != (photo.binary_data_size or 0):
        _refuse(f"binary_data_size: {len(binary)} bytes follow the JSON")
    if photo.binary_data_size is None:
        photos = list(_from_json(photo, count, skeleton))
    else:
        photos = list(_from_binary(binary, count))
    return InferenceRequest(photos=photos, id=_id(asked.id, skeleton), outputs=_wanted(asked))


def _validated(text: bytes) -> InferenceBody:
    try:
        return InferenceBody.model_validate_json(text)
    except ValidationError as error:
        # What the client wrote is not repeated: it may be anything.
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the body"
        _refuse(f"{place}: {first['msg']}")


def _id(value: str | None, skeleton: Skeleton) -> str | None:
    if value is None or (literal := skeleton.literal(value)) is None:
        return value
    if len(literal) > MOST_ID_BYTES:
        _refuse(f"id: {MOST_ID_BYTES} bytes at most")
    try:
        return str(from_json(b'"%b"' % literal))
    except ValueError:
        _refuse("id: not a string of JSON")


def _wanted(asked: InferenceBody) -> list[Wanted]:
    if asked.outputs is None:
        return _all(binary=asked.binary)
    if len({output.name for output in asked.outputs}) < len(asked.outputs):
        _refuse("outputs: each may be named once")
    return [
        Wanted(name=output.name, binary=asked.binary if output.binary is None else output.binary)
        for output in asked.outputs
    ]


def _all(*, binary: bool) -> list[Wanted]:
    return [Wanted(name=name, binary=binary) for name in OUTPUTS]


def _count(shape: Sequence[int], most_photos: int) -> int:
    if shape[0] < 1 or shape[1:] not in ([], [1]):
        _refuse("inputs.0.shape: [N] or [N, 1], with one photo at least")
    if shape[0] > most_photos:
        raise ProblemError("too-large", f"a request may have {most_photos} photos at most")
    return shape[0]


def _from_json(photo: PhotoInput, count: int, skeleton: Skeleton) -> Iterator[bytes]:
    elements = []
    for row in photo.data or ():
        if isinstance(row, str):
            elements.append(row)
        elif len(row) == 1 == photo.shape[-1] and len(photo.shape) == 2:
            elements += row
        else:
            _refuse("inputs.0.data: nested otherwise than the shape says")
    if len(elements) != count:
        _refuse(f"inputs.0.data: has {len(elements)} elements, the shape says {count}")
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
