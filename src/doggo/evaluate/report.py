"""One evaluation as one HTML file that needs nothing else: no network, no script to be read.

Owns the page, its words and the thumbnails on it. Only photos that may be shown are shown.
Knows nothing of how the figures came about.
"""

from __future__ import annotations

import base64
import io
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path

from doggo.core.breeds import title
from doggo.core.errors import DoggoError
from doggo.core.shares import share
from doggo.evaluate import charts
from doggo.evaluate.evaluation import Evaluation, Share
from doggo.evaluate.labelled import LabelledPhoto
from doggo.storage.whole import write_whole

THUMBNAIL_PX = 160
"""Short side of a photo on the page: some 7 kB each as JPEG, sixty of them in half a megabyte."""

_LONG_SIDE_PX = 2 * THUMBNAIL_PX
_QUALITY = 80

log = logging.getLogger(__name__)


def write_report(evaluation: Evaluation, out: Path, photos: Sequence[LabelledPhoto] = ()) -> Path:
    """Write the evaluation as one self-contained HTML file and return its path.

    Args:
        out: the file, replaced whole or not at all; its folder is made if need be.
        photos: where to read the photos that the page shows: mistakes that may be shown. A
            photo that is missing here, hidden or gone is a grey box on the page.

    Raises:
        StorageError: the disk refuses.

    Side effects: reads up to 64 photos; writes `out`.
    """
    html = render(evaluation, thumbnails(evaluation, photos))
    write_whole(out, html.encode("utf-8", "replace"))
    return out


def render(evaluation: Evaluation, pictures: Mapping[str, str]) -> str:
    """Return the page; `pictures` maps a photo_id to the data URI of its thumbnail."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "title_of": title,
        "percent": percent,
        "interval": interval,
        "believed": _believed,
    }
    source = files("doggo.evaluate").joinpath("report.html.jinja").read_text(encoding="utf-8")
    return environment.from_string(source).render(
        e=evaluation, model=evaluation.model, pictures=pictures, charts=charts
    )


def thumbnails(evaluation: Evaluation, photos: Sequence[LabelledPhoto]) -> dict[str, str]:
    """Return the data URI of a small JPEG for each photo that the page names and may show."""
    named = {m.photo_id for pair in evaluation.confused for m in pair.mistakes}
    named |= {m.photo_id for m in evaluation.mistakes}
    wanted = {p.photo_id: p for p in photos if p.photo_id in named and p.may_be_shown}
    with ThreadPoolExecutor() as pool:
        made = pool.map(_thumbnail, wanted.values())
        return {photo_id: uri for photo_id, uri in zip(wanted, made, strict=True) if uri}


def percent(value: float | None) -> str:
    """Return a proportion as a person reads it: 0.8617 is "86.2 %"."""
    return "–" if value is None else f"{100 * value:.1f}\N{NO-BREAK SPACE}%"


def _believed(probability: float) -> str:
    """Return what a model says of one photo: never 0 or 100 %."""
    return f"{share(probability, 1)}\N{NO-BREAK SPACE}%"


def interval(proportion: Share) -> str:
    """Return the 95 % interval of a proportion: "84.4 to 87.8 %"."""
    low, high = proportion.interval
    return f"{100 * low:.1f} to {100 * high:.1f}\N{NO-BREAK SPACE}%"


def _thumbnail(photo: LabelledPhoto) -> str | None:
    from PIL import Image

    from doggo.vision.photo import canonical

    try:
        picture = Image.fromarray(canonical(photo.read(), THUMBNAIL_PX))
    except (DoggoError, OSError) as error:
        log.info("thumbnail_missing photo_id=%s reason=%s", photo.photo_id, error)
        return None
    picture.thumbnail((_LONG_SIDE_PX, _LONG_SIDE_PX))
    jpeg = io.BytesIO()
    picture.save(jpeg, "JPEG", quality=_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.getvalue()).decode("ascii")
