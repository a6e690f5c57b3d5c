"""Signing in to an object store: the library for its scheme, and the credentials it is given.

Owns which schemes there are and where Google's key comes from. Knows nothing of objects.
"""

from __future__ import annotations

import base64
import binascii
import importlib
import json
import os
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

from doggo.core.errors import UsageError
from doggo.storage.refusals import cloud_refusals

if TYPE_CHECKING:
    from fsspec.asyn import AsyncFileSystem
    from pydantic import SecretStr

_EXTRAS = {"gs": ("gcs", "gcsfs"), "s3": ("s3", "s3fs")}


def is_remote(url: str) -> bool:
    """Whether this is the URL of an object store."""
    return urlparse(url).scheme in _EXTRAS


def google_files(google_key: SecretStr | None) -> AsyncFileSystem:
    """Return Google Cloud Storage as this key sees it, or without one whatever is around.

    Args:
        google_key: see `remote.Remote`.

    Raises:
        UsageError: gcsfs is not installed, or the key is no key.
        StorageError: Google refuses it.
    """
    # Not the class that the package hands out: unless a variable was set before its first
    # import, whoever made it, that one asks each bucket for its kind over gRPC first, and tries
    # for a minute where nobody answers (2026.10). Our buckets are ordinary ones.
    _library("gs")
    core = importlib.import_module("gcsfs.core")
    token: object = None
    if google_key is not None and google_key.get_secret_value():
        token = _service_account(google_key)
    elif os.environ.get("STORAGE_EMULATOR_HOST"):
        token = "anon"  # noqa: S105 - gcsfs's word for no credentials
    with cloud_refusals("sign in to Google Cloud", "gs://"):
        return core.GCSFileSystem(token=token, use_listings_cache=False, skip_instance_cache=True)


def s3_files() -> AsyncFileSystem:
    """Return S3 as the credentials of the environment see it.

    Raises:
        UsageError: s3fs is not installed.
    """
    s3fs = _library("s3")
    return s3fs.S3FileSystem(use_listings_cache=False, skip_instance_cache=True)


def _library(scheme: str) -> Any:
    extra, module = _EXTRAS[scheme]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise UsageError(
            f"{scheme}:// buckets need {module}: install it with `pip install 'doggo[{extra}]'`"
        ) from error


def _service_account(google_key: SecretStr) -> dict[str, object]:
    """Return the decoded key. It stays in memory: it is never written to a file or a log."""
    refusal = (
        "GCSSA_RAW is no service account key: it must be the JSON file of the key in base64, "
        "as `base64 -w0 key.json` prints it"
    )
    try:
        key = json.loads(base64.b64decode(google_key.get_secret_value(), validate=True))
    except (binascii.Error, ValueError) as error:
        raise UsageError(refusal) from error
    if not isinstance(key, dict) or key.get("type") != "service_account":
        raise UsageError(refusal)
    return key
