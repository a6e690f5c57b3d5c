"""How a photo lies in a request's body: as the body itself, or in a form.

Owns form parsing, piece by piece. Knows nothing of time, connections or pictures; sizes are told
to it.
"""

from __future__ import annotations

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from doggo.serve.problems import ProblemError

_FORM_OVERHEAD_BYTES = 64 * 1024  # boundaries, part headers, small other fields


def photo_body(content_type: str, photo_bytes: int) -> WholeBody | FormBody:
    """Return what takes in a body of this type, with a photo of at most `photo_bytes`.

    Raises:
        ProblemError: 415 another kind of body, 422 a form that cannot be one.
    """
    kind, options = parse_options_header(content_type)
    if kind.startswith(b"multipart/"):
        boundary = options.get(b"boundary", b"")
        if not boundary:
            raise ProblemError("no-photo", "the multipart content type names no boundary")
        return FormBody(boundary, photo_bytes)
    if not kind or kind.startswith(b"image/") or kind == b"application/octet-stream":
        return WholeBody()
    raise ProblemError(
        "wrong-type",
        "send a multipart form with the field 'photo', or the image itself as image/* or "
        "application/octet-stream",
    )


class WholeBody:
    """The image is the body itself."""

    overhead_bytes = 0

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def feed(self, piece: bytes) -> bool:
        self._pieces.append(piece)
        return True

    def forget(self) -> None:
        self._pieces.clear()

    def photo(self) -> bytes:
        return self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)


class FormBody:
    """The image is the field `photo` of a multipart form; other fields are skipped unread."""

    overhead_bytes = _FORM_OVERHEAD_BYTES

    def __init__(self, boundary: bytes, photo_bytes: int) -> None:
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_header_field": self._header_field,
                    "on_header_value": self._header_value,
                    "on_header_end": self._header_end,
                    "on_part_data": self._data,
                    "on_part_end": self._end,
                },
            )
        except FormParserError as error:
            raise ProblemError(
                "no-photo", "the multipart boundary is longer than allowed"
            ) from error
        self._most = photo_bytes
        self._size = 0
        self._inside = self._found = self._complete = False
        self._name = self._value = b""
        self._pieces: list[bytes] = []

    def feed(self, piece: bytes) -> bool:
        """Parse a piece; returns False once the photo is over its limit."""
        try:
            self._parser.write(piece)
        except FormParserError as error:
            raise ProblemError("no-photo", "the multipart form is malformed") from error
        return self._size <= self._most

    def forget(self) -> None:
        self._pieces.clear()

    def photo(self) -> bytes:
        if not self._found:
            raise ProblemError("no-photo", "the form has no field called 'photo'")
        if not self._complete:
            raise ProblemError("no-photo", "the form ends in the middle of the field 'photo'")
        return self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)

    def _begin(self) -> None:
        self._inside = False
        self._name = self._value = b""

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._name.lower() == b"content-disposition":
            _, options = parse_options_header(self._value)
            if options.get(b"name") == b"photo" and not self._found:
                self._inside = self._found = True
        self._name = self._value = b""

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._inside:
            self._size += end - start
            if self._size <= self._most:
                self._pieces.append(data[start:end])

    def _end(self) -> None:
        if self._inside:
            self._complete = True
        self._inside = False
