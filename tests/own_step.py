"""An installation whose owner has written a processing step: a copy of the source to edit."""

from __future__ import annotations

import shutil
from pathlib import Path

import doggo


class Installation:
    """A copy of doggo for processes of their own; give them `PYTHONPATH=path`."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder)
        source = Path(doggo.__file__).parent
        shutil.copytree(source, folder / "doggo", ignore=shutil.ignore_patterns("__pycache__"))
        self.step = folder / "doggo" / "vision" / "owner_step.py"

    def write_step(self, body: str, *, name: str = "mine", head: str = "") -> None:
        """Have `process(image_HWC)` be `body`, indented code."""
        self.step.write_text(
            f"import os\n\nimport numpy as np\n{head}\nNAME = {name!r}\n\n\n"
            f"def process(image_HWC):\n    {body}\n"
        )
