"""Stanford Dogs: where it is published, under what terms, and which bytes are the real ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from doggo.apps.download import Published, download
from doggo.core.progress import Progress

URL = "http://vision.stanford.edu/aditya86/ImageNetDogs"
"""The authors' page (Khosla, Jayadevaprakash, Yao, Fei-Fei, 2011)."""

FILES = (
    Published(
        name="lists.tar",
        size_bytes=481_280,
        sha256="34b47cacd9a98b5d150e084f24d29391c084c55272295ec65c85651bc35f4d6c",
    ),
    Published(
        name="images.tar",
        size_bytes=793_579_520,
        sha256="a443fc2f9a851aa1a7b8e4fa4af94b8459fce2c9f5a2f4dd4669cf9673a4ec58",
    ),
)
"""Sizes and sha256 as TensorFlow Datasets pins them for the same addresses; the page has none."""

TERMS = (
    "Stanford Dogs: 20,580 photos of 120 breeds from ImageNet, 794 MB, from\n"
    f"  {URL}/\n"
    "The page names no licence. The photos are ImageNet's: for non-commercial research and\n"
    "education only; each photo belongs to whoever took it. Cite Khosla et al., 2011."
)


def fetch(
    folder: Path,
    progress: Progress,
    *,
    url: str = URL,
    files: Sequence[Published] = FILES,
) -> list[Path]:
    """Return the archives in `folder`, downloaded unless they are there; see `download`.

    Args:
        url: the folder that has them, at Stanford or a mirror; the bytes have to be the same.
    """
    return [download(f"{url.rstrip('/')}/{file.name}", file, folder, progress) for file in files]
