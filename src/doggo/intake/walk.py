"""Whether a file that the ledger knows still lies where it was met, under the same breed.

Owns when a file counts as gone. An intake believes it only where it looked: in what it was given
to walk. A disk that is not mounted, an archive or a bucket that was not given, a folder that
cannot be opened tell nothing, so what was filed there stands. Changes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from doggo.intake.found import Found, Scan, hash_file
from doggo.storage.ledger import Filing, ledger_path

_ARCHIVES = (".tar", ".gz", ".tgz", ".zip")


class Walk:
    """What one intake was given, to compare the ledger with."""

    def __init__(self, scan: Scan, *, overrules: bool = False) -> None:
        """Remember a scan; files are read when they are asked for.

        Args:
            overrules: what is not in this scan does not count, wherever it may lie.
        """
        self.overrules = overrules
        self._scanned: Sequence[Found] = scan.files
        self._roots = [ledger_path(root) for root in scan.roots]

    def stands(self, filing: Filing) -> bool:
        """Return whether one of an entry's files is there and filed under the entry's breed."""
        return any(self._stands(filing, path) for path in filing.paths)

    @cached_property
    def _files(self) -> dict[str, Found]:
        return {ledger_path(found.path): found for found in self._scanned}

    def _stands(self, filing: Filing, path: str) -> bool:
        sha256 = filing.source.source_sha256
        found = self._files.get(path)
        if found is not None:
            return found.breed == filing.source.breed and hash_file(found.place) in ("", sha256)
        if self.overrules:
            return False
        return not any(_is_gone_from(root, path, sha256) for root in self._roots)


def _is_gone_from(root: str, path: str, sha256: str) -> bool:
    """Return whether a file that a walk of `root` did not find would have been found there."""
    inside = path.removeprefix(f"{root.rstrip('/')}/")
    if inside == path and path != root:
        return False  # it lies elsewhere
    if "://" in path:
        return True
    try:
        os.stat(path)  # noqa: PTH116 - a path that the operating system refuses is no error here
    except FileNotFoundError:
        # An archive that was deleted once it was taken in takes nothing back.
        return not any(part.lower().endswith(_ARCHIVES) for part in inside.split("/")[:-1])
    except NotADirectoryError:
        return Path(root).is_file()  # a member: only who walked the archive knows
    except OSError:
        return False
    return hash_file(path) not in ("", sha256)  # such as one that is reached by a link
