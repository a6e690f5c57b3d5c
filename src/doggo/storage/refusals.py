"""Words for what an object store refuses: one line that says what to do.

Owns the table from the libraries' exceptions to sentences. They are told apart by their names,
so that neither library is imported here.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from doggo.core.errors import DoggoError, StorageError
from doggo.core.os_errors import explain_os_error

_SIGN_IN = {
    "gs": (
        "no Google credentials that work: set GCSSA_RAW to a service account key in base64, or "
        "run `gcloud auth application-default login`"
    ),
    "s3": "no S3 credentials that work: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
}
_RIGHTS = {
    "gs": "the account may not do that: give it the role Storage Object Admin on the bucket",
    "s3": "the account may not do that: its policy needs s3:ListBucket, GetObject, PutObject "
    "and DeleteObject on the bucket",
}
_NO_CREDENTIALS = frozenset(
    ("DefaultCredentialsError", "RefreshError", "MalformedError", "NoCredentialsError",
     "PartialCredentialsError", "TokenRetrievalError", "GoogleAuthError")
)  # fmt: skip
_BAD_KEY_CODES = frozenset(("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"))
_LOCAL = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EROFS))


class ChecksumError(Exception):
    """Bytes came that are not those of their checksum; never leaves this folder."""


@contextmanager
def cloud_refusals(doing: str, url: str) -> Iterator[None]:
    """Turn what the store or its library raises into a StorageError that says `doing`.

    Raises:
        StorageError: instead of any error of the library or the network.
    """
    try:
        yield
    except DoggoError:
        raise
    except Exception as error:
        # The libraries have no common root: HTTP, credentials, checksums and time-outs.
        raise StorageError(f"cannot {doing}: {explain_refusal(error, url)}") from error


def explain_refusal(error: BaseException, url: str) -> str:
    """Return what a store's error means and what to do, in words."""
    scheme = url.partition(":")[0]
    names = {kind.__name__ for kind in type(error).__mro__}
    code = refusal_code(error)
    if isinstance(error, OSError) and error.errno in _LOCAL:
        return explain_os_error(error)
    if names & _NO_CREDENTIALS or code in ("401", *_BAD_KEY_CODES):
        return _SIGN_IN.get(scheme, "no credentials")
    if isinstance(error, PermissionError) or "Forbidden" in str(error) or code == "403":
        return _RIGHTS.get(scheme, "not allowed")
    if isinstance(error, FileNotFoundError):
        missing = f"there is no such bucket: make {_bucket(url)}, or check its name"
        return missing if _is_bucket(error) else "it is not there"
    said = str(error).strip().splitlines()
    detail = said[0][:200] if said else type(error).__name__
    if is_damaged(error):
        detail = "its bytes do not match its checksum"
    return f"the store does not answer as it should ({detail}); run the same command again"


def is_damaged(error: BaseException) -> bool:
    """Whether bytes came that are not those of their checksum."""
    return type(error).__name__ in ("ChecksumError", "FlexibleChecksumError")


def _is_bucket(error: FileNotFoundError) -> bool:
    """Whether the bucket itself is missing: both stores say it in the message alone."""
    words = str(error)
    return "bucket does not exist" in words or words.endswith("/o") or "/upload/" in words


def _bucket(url: str) -> str:
    return "/".join(url.split("/")[:3])


def refusal_code(error: BaseException) -> str:
    """Return what the store calls an error; empty if it has no name for it.

    s3fs keeps its library's own exception as the cause.
    """
    code = getattr(error, "code", None)
    response = getattr(error, "response", None) or getattr(error.__cause__, "response", None)
    if isinstance(response, dict):
        code = response.get("Error", {}).get("Code")
    return str(code or "")
