"""Which files an archive holds, each with its breed; nothing is unpacked.

Owns what is left out of an archive and why. The breeds of its members are found by the rules of
a folder that has the archive's name without its ending.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from doggo.core.errors import InputError
from doggo.core.os_errors import explain_os_error
from doggo.intake.found import Found, Ignored, Scan, Stored
from doggo.intake.labels import LabelsTree, labelled, take_labels
from doggo.storage.members import entries

_MAX_LABELS_BYTES = 64 * 2**20


def scan_archive(path: Path, common: LabelsTree | None, scratch: Path | None, result: Scan) -> None:
    """Add the files of an archive to `result`, in the order in which they lie in it.

    Args:
        common: labels that were given; without them each `labels.csv` or `meta_data.csv` in it
            counts for its folder.
        scratch: where a compressed tar may be inflated; None: it is refused.

    Raises:
        InputError: the archive or its labels file cannot be understood.
        StorageError: there is no room to inflate it.
    """
    files, misled = _listed(path, scratch, result)
    labels = take_labels(
        files,
        common,
        read=lambda inside: _read_labels(files[inside], f"{path}/{inside}"),
        shown=lambda inside: f"{path}/{inside}",
        ignored=result.ignored,
    )
    root = f"/{path.name.partition('.')[0]}"
    for inside, stored in files.items():
        shown = f"{path}/{inside}"
        result.files.append(labelled(f"{root}/{inside}", root, labels, shown=shown, stored=stored))
    result.files.extend(misled)
    result.ignored.extend(labels.without_file({inside: f"{path}/{inside}" for inside in files}))


def _listed(
    path: Path, scratch: Path | None, result: Scan
) -> tuple[dict[str, Stored], list[Found]]:
    """Return the files by their path inside, and those whose name leads out of the archive."""
    files: dict[str, Stored] = {}
    misled: list[Found] = []
    try:
        for entry in entries(path, scratch):
            name = entry.name.replace("\0", "\ufffd")
            shown = f"{path}/{name}"
            inside = PurePosixPath(name)
            if entry.member is None:
                result.ignored.append(Ignored(shown, f"not a regular file: {entry.what}"))
            elif inside.is_absolute() or ".." in inside.parts or not inside.name:
                problem = "its name leads out of the archive"
                misled.append(Found(shown, None, problem, entry.member))
            elif any(part.startswith(".") for part in inside.parts):
                result.ignored.append(Ignored(shown, "hidden"))
            else:
                if files.pop(str(inside), None) is not None:
                    reason = "a later member of the archive has the same name"
                    result.ignored.append(Ignored(shown, reason))
                files[str(inside)] = entry.member
    except OSError as error:
        raise InputError(f"cannot read {path}: {explain_os_error(error)}") from error
    return files, misled


def _read_labels(stored: Stored, shown: str) -> bytes:
    if stored.size_bytes > _MAX_LABELS_BYTES:
        raise InputError(f"{shown} is too large for a labels file: {stored.size_bytes:,} bytes")
    try:
        return b"".join(stored.blocks())
    except OSError as error:
        raise InputError(f"cannot read {shown}: {error.strerror}") from error
