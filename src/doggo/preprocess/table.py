"""`meta_data.csv` beside the manifests: the newest dataset's photos and labels for other tools.

Owns its two columns, as the first doggo had them: `filenames`, keys in the raw bucket, and
`label`. An export: nothing here reads it back, and it is made again by the next preprocess.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from doggo.core.records import Photo
from doggo.storage.buckets import Bucket

KEY = "meta_data.csv"


def save_table(processed: Bucket, photos: Iterable[Photo]) -> None:
    """Write the table of these photos, unless it is there.

    Raises:
        StorageError: the bucket refuses.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("filenames", "label"))
    writer.writerows(sorted((photo.raw_key, photo.breed) for photo in photos))
    data = text.getvalue().encode()
    if not processed.exists(KEY) or processed.read(KEY) != data:
        processed.write(KEY, data)
