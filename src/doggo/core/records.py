"""The nouns of the product, as frozen records.

Owns what a photo, a manifest and a prediction consist of. Knows nothing of where they are
stored or how they are computed. A bundle's record is beside its reader, in `vision/bundle.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import unquote


class Split(StrEnum):
    """The side of a photo: assigned once, stored, never changed."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


class Origin(StrEnum):
    """Whose photo it is."""

    OWNER = "owner"
    USER = "user"


class Outcome(StrEnum):
    """What intake made of one source file."""

    ADDED = "added"
    ALREADY_PRESENT = "already_present"
    EXACT_DUPLICATE = "exact_duplicate"  # same bytes or same pixels, same breed
    CONFLICT = "conflict"  # the same picture under two breeds: every copy is set aside
    QUARANTINED = "quarantined"  # broken, too small, links_sides, no label
    OVERRULED = "overruled"  # the owner said that the photo is of another breed


class QuarantineReason(StrEnum):
    """Why a source file was set aside, beside the words of `Rejection`."""

    CONFLICT = "conflict"
    TOO_SMALL = "too_small"  # short side below 64 px
    LINKS_SIDES = "links_sides"  # a near duplicate of photos on two sides of the split
    NO_LABEL = "no_label"
    UNREADABLE = "unreadable"  # the operating system would not let us read it


@dataclass(frozen=True, kw_only=True, slots=True)
class Photo:
    """One accepted (or later quarantined) photo in the raw bucket.

    Attributes:
        photo_id: sha256 (hex) of the raw object: the bytes after metadata removal.
        source_sha256: sha256 (hex) of the file as it was handed in.
        breed: key of the breed, snake_case.
        raw_key: key in the raw bucket.
        width_px, height_px: upright size of the raw picture.
        phash: 64-bit perceptual hash as 16 hex digits.
        group_id: photo_id of the first member of its near-duplicate group.
        split: its side, or None before the first preprocess.
        origin, may_be_shown: whose it is, and whether a page may show it.
        quarantine: None while it is in use, else the reason.
    """

    photo_id: str
    source_sha256: str
    breed: str
    raw_key: str
    width_px: int
    height_px: int
    phash: str
    group_id: str
    split: Split | None = None
    origin: Origin = Origin.OWNER
    may_be_shown: bool = True
    quarantine: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One file that intake has seen: the ledger that makes a second run add nothing.

    Attributes:
        source_sha256: sha256 (hex) of the file as handed in; `unread_key` of one that was not read.
        breed: key of the breed it was filed under.
        path: where it was found, for the owner's eyes (quarantine table).
        outcome: what became of it.
        reason: quarantine reason (`Rejection` or `QuarantineReason`), else None.
        detail: one line for a person, else None.
        photo_id: the photo it became or duplicates, if any.
        read_by: which decoder and release found the reason, where another one may find none; None
            also of a file that ended its decoder.
    """

    source_sha256: str
    breed: str
    path: str
    outcome: Outcome
    reason: str | None = None
    detail: str | None = None
    photo_id: str | None = None
    read_by: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ManifestRow:
    """One photo of a dataset, and where its canonical pixels lie.

    Attributes:
        raw_uri: where the raw object was when the dataset was made; see `raw_key`.
        sha256: of the raw object, so that a reader can verify it.
        shard: key of the shard in the processed bucket; `offset` is in bytes into its array.
    """

    photo_id: str
    raw_uri: str
    breed: str
    split: Split
    sha256: str
    group_id: str
    shard: str
    offset: int
    height_px: int
    width_px: int
    origin: Origin
    may_be_shown: bool

    @property
    def raw_key(self) -> str:
        """Key in the raw bucket, `breed/photo_id.jpg`, wherever that bucket has moved since."""
        return unquote("/".join(self.raw_uri.split("/")[-2:]))


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """An immutable dataset: what a training run saw.

    Attributes:
        manifest_id: 16 hex digits of the sha256 over rows and settings: same data, same id.
        short_side_px: S of the canonical pixels.
        decoder: name and versions of the decoder that made them.
        step: name of the owner's processing step (`vision/owner_step.py`).
    """

    manifest_id: str
    short_side_px: int
    decoder: str
    step: str
    seed: int
    rows: tuple[ManifestRow, ...] = field(repr=False)

    @property
    def breeds(self) -> tuple[str, ...]:
        """The breeds present, sorted: the label order of a model trained on it."""
        return tuple(sorted({row.breed for row in self.rows}))

    def of(self, split: Split) -> tuple[ManifestRow, ...]:
        """The rows of one side, in manifest order."""
        return tuple(row for row in self.rows if row.split == split)


SHOWN_BREEDS = 3
"""Breeds of a prediction that a person or a program is told."""


class Verdict(StrEnum):
    """What the model dares to say."""

    BREED = "breed"
    UNSURE = "unsure"
    NOT_A_DOG = "not_a_dog"


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelRef:
    """Which model answered; `sha256` is that of its sealed `bundle.json`."""

    name: str
    version: int
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class BreedProbability:
    """A breed's key and its calibrated probability in [0, 1]."""

    breed: str
    probability: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """The answer for one photo: the same for the command line, HTTP and the database.

    Attributes:
        breeds: best first, more than are shown if the model knows more: when the first is wrong,
            the right one is often among them.
        dog_mass: how much of a dog is in the picture, in [0, 1]; the verdict rests on it.
        latency_ms: wall time from bytes to answer, queueing included.
    """

    prediction_id: str
    model: ModelRef
    verdict: Verdict
    breeds: tuple[BreedProbability, ...]
    dog_mass: float
    latency_ms: float

    @property
    def shown(self) -> tuple[BreedProbability, ...]:
        """The breeds that are told: min(3, labels)."""
        return self.breeds[:SHOWN_BREEDS]
