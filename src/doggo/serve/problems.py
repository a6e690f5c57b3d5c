"""What a client is told when a request cannot be answered.

Owns the list of problems, their status and words, and the two forms in which they are told:
problem+json (RFC 9457), and the error object of the Open Inference Protocol under `/v2`. Knows
nothing of pictures or models: the routes translate typed errors into these, once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.responses import Response

from doggo.core.errors import BusyError, DoggoError, NoModelError, PhotoError, Rejection

MEDIA_TYPE = "application/problem+json"
NO_MODEL_RETRY_S = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """One kind of problem; `type` in the answer points at its line in `/docs`."""

    slug: str
    status: int
    title: str
    advice: str


KINDS = {
    kind.slug: kind
    for kind in (
        Kind(
            slug="bad-photo",
            status=400,
            title="This cannot be read as a photo",
            advice="`reason` says why, in one stable word. Send another picture.",
        ),
        Kind(
            slug="bad-request",
            status=400,
            title="This request cannot be understood",
            advice="`detail` says what is wrong with it.",
        ),
        Kind(
            slug="needs-key",
            status=401,
            title="An API key is needed",
            advice="Send `Authorization: Bearer KEY`, `X-API-Key: KEY`, or the key as the "
            "password when a browser asks.",
        ),
        Kind(
            slug="not-public",
            status=403,
            title="This is not open to the outside",
            advice="The owner opens a path by naming it in `DOGGO_PUBLIC`.",
        ),
        Kind(
            slug="not-found",
            status=404,
            title="There is nothing at this address",
            advice="This page lists what there is.",
        ),
        Kind(
            slug="method-not-allowed",
            status=405,
            title="This address does not answer that method",
            advice="The `Allow` header lists the methods it answers.",
        ),
        Kind(
            slug="too-slow",
            status=408,
            title="The photo arrived too slowly",
            advice="Send it again over a better connection, or send a smaller picture.",
        ),
        Kind(
            slug="too-large",
            status=413,
            title="The photo is too big",
            advice="A photo may have 20 MiB at most.",
        ),
        Kind(
            slug="wrong-type",
            status=415,
            title="This kind of body is not read here",
            advice="Send a multipart form with the field `photo`, or the image itself as the "
            "body with an `image/*` or `application/octet-stream` content type.",
        ),
        Kind(
            slug="no-photo",
            status=422,
            title="The form has no photo",
            advice="The multipart field must be called `photo`.",
        ),
        Kind(
            slug="busy",
            status=429,
            title="Too many photos are waiting",
            advice="Try again after the seconds in `Retry-After`.",
        ),
        Kind(
            slug="rate-limit",
            status=429,
            title="Too many requests from outside",
            advice="Try again after the seconds in `Retry-After`.",
        ),
        Kind(
            slug="internal",
            status=500,
            title="Something broke on our side",
            advice="It was logged. The same request may work later.",
        ),
        Kind(
            slug="no-model",
            status=503,
            title="No model is in production yet",
            advice="`doggo bootstrap` makes one in a minute; the server picks it up by itself.",
        ),
    )
}


class ProblemError(DoggoError):
    """A request that cannot be answered, on its way to the client.

    Attributes:
        kind: what kind of problem it is.
        headers: extra response headers.
        extra: extra members of the problem document.
    """

    def __init__(
        self,
        slug: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind = KINDS[slug]
        self.headers = dict(headers or {})
        self.extra = dict(extra or {})

    def response(self, path: str) -> Response:
        """Return the answer that tells it to a client of `path`."""
        inference = path == "/v2" or path.startswith("/v2/")
        body = self._error_object() if inference else self.document()
        return Response(
            json.dumps(body, ensure_ascii=False),
            status_code=self.kind.status,
            headers={"Cache-Control": "no-store", **self.headers},
            media_type="application/json" if inference else MEDIA_TYPE,
        )

    def document(self) -> dict[str, str | int]:
        """Return the members of its problem document."""
        return {
            "type": f"/docs#problem-{self.kind.slug}",
            "title": self.kind.title,
            "status": self.kind.status,
            "detail": str(self),
            **self.extra,
        }

    def _error_object(self) -> dict[str, str]:
        return {"error": str(self), **self.extra}


def problem_of(error: DoggoError) -> ProblemError:
    """Return the problem that tells a client about `error`."""
    match error:
        case ProblemError():
            return error
        case PhotoError(rejection=Rejection.TOO_MANY_BYTES):
            return ProblemError("too-large", str(error), extra={"reason": error.rejection.value})
        case PhotoError():
            return ProblemError("bad-photo", str(error), extra={"reason": error.rejection.value})
        case BusyError():
            return ProblemError(
                "busy", str(error), headers={"Retry-After": str(error.retry_after_s)}
            )
        case NoModelError():
            retry = {"Retry-After": str(NO_MODEL_RETRY_S)}
            return ProblemError("no-model", str(error), headers=retry)
        case _:
            # Its words are for the owner's log, not for a stranger: they may name paths.
            return ProblemError("internal", "the server could not answer; its log says why")
