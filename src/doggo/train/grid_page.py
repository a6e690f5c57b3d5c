"""A grid as one HTML file that needs nothing else: the picture, the table, the commands."""

from __future__ import annotations

import base64
from importlib.resources import files
from pathlib import Path

from doggo.train.grid_result import GridResult


def write_page(result: GridResult, picture_png: bytes, file: Path) -> Path:
    """Write the comparison page and return its path."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    source = files("doggo.train").joinpath("grid.html.jinja").read_text(encoding="utf-8")
    page = environment.from_string(source).render(
        grid=result,
        picture="data:image/png;base64," + base64.b64encode(picture_png).decode("ascii"),
    )
    file.write_text(page, encoding="utf-8")
    return file
