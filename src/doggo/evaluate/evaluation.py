"""What an evaluation found: frozen records that go to JSON and come back equal.

Owns the shape of the result: the model's card, the tracker and the report all read it. Knows
nothing of how photos are read, answered or drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, ClassVar

from doggo.core.errors import InputError
from doggo.core.metrics import wilson_interval

if TYPE_CHECKING:
    from pydantic import TypeAdapter

FORMAT = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """`hits` of `n`, with the 95 % interval that n allows."""

    hits: int
    n: int

    @property
    def value(self) -> float | None:
        """The proportion in [0, 1]; None of nothing."""
        return self.hits / self.n if self.n else None

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval."""
        low, high = wilson_interval(self.hits, self.n)
        return low, high


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelFacts:
    """Which sealed bundle answered, and under which contract.

    Attributes:
        runtime: runtime and precision in use, such as `openvino-bf16`.
        view: size and mode of what the network sees, in words.
        decoder, step: what made the pixels.
        calibration: on what temperature and thresholds were fitted, as the bundle says.
        labels: how many breeds the model knows.
        known_share_threshold: 0 for what was made before there was one.
        licences: one line each, of weights and data, as far as the caller knows them.
    """

    name: str
    version: int
    sha256: str
    backbone: str
    recipe: str
    manifest_id: str | None
    git_revision: str
    weights_sha256: str
    runtime: str
    view: str
    decoder: str
    step: str
    temperature: float
    dog_mass_threshold: float
    breed_threshold: float
    calibration: str
    labels: int
    licences: tuple[str, ...] = ()
    known_share_threshold: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdicts:
    """What the model dared to say of photos whose breed it knows.

    Attributes:
        named: of the photos answered with a breed, how many rightly (its precision).
        unsure: of the photos answered "unsure", on how many the best guess was right.
        not_a_dog: photos of dogs taken for something else.
    """

    named: Share
    unsure: Share
    not_a_dog: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Bin:
    """One bar of a reliability diagram: means over `n` photos."""

    confidence: float
    accuracy: float
    n: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """Whether probabilities come true: 15 bins of equal width, first answer."""

    log_loss: float
    expected_calibration_error: float
    bins: tuple[Bin, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class RiskPoint:
    """Answering only above `threshold` answers `coverage` of the photos with `risk` wrong."""

    coverage: float
    risk: float
    threshold: float


@dataclass(frozen=True, kw_only=True, slots=True)
class BreedScore:
    """One breed.

    Attributes:
        recall: of its photos, how many are named so.
        precision: of the photos named so, how many are.
        taken_for: the breed that its photos are most often mistaken for.
    """

    breed: str
    recall: Share
    precision: Share
    taken_for: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Mistake:
    """A photo whose first answer is not its label, with both probabilities.

    Attributes:
        found_at: where the owner finds the photo.
    """

    photo_id: str
    found_at: str
    breed: str
    answer: str
    probability: float
    breed_probability: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfusedPair:
    """Two breeds that the model takes for each other, both ways counted.

    Attributes:
        first_as_second, second_as_first: of the photos of one, how many are named the other.
        mistakes: the most confident of them.
    """

    first: str
    second: str
    first_as_second: Share
    second_as_first: Share
    mistakes: tuple[Mistake, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class UnknownBreed:
    """A breed that the photos have and the model has not: no answer could be right.

    Attributes:
        nearest: the label of the model whose name is closest, if any: perhaps this is a spelling
            of it.
        named, unsure, not_a_dog: photos per verdict; `named` are all wrong.
    """

    breed: str
    nearest: str | None
    named: int
    unsure: int
    not_a_dog: int


@dataclass(frozen=True, kw_only=True, slots=True)
class NotScored:
    """A photo that could not be read or decoded.

    Attributes:
        reason: a stable word (`Rejection`, or `unreadable`); `detail`: one line for a person.
    """

    photo_id: str
    found_at: str
    breed: str
    reason: str
    detail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Learned:
    """How many of the photos the model knows: figures on them flatter it.

    Attributes:
        trained: photos that it was trained on.
        validated: photos on which its best epoch, temperature and thresholds were chosen.
    """

    trained: int = 0
    validated: int = 0


UNSEEN = Learned()
"""Of photos that the model was kept from, such as the test side."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """How a sealed bundle answers labelled photos.

    Attributes:
        data: which photos these are, in words.
        created_at: ISO 8601, UTC.
        macro_auroc: one-vs-rest over the breeds present; None with a single breed.
        before, after: calibration without and with the fitted temperature.
        aurc: area under the risk-coverage curve; `risk_coverage`: at most 101 of its points.
        coverage_at_95: the largest share answerable with 95 % precision, chosen on these photos.
        ms_per_photo: wall time from bytes to answer in bulk, decoding included.
        recalled: photos answered from features that the same body gave for the same bytes in an
            earlier evaluation, 64 such photos having been answered anew and found equal.
        learned: how many of the photos, scored or not, it was fitted on; None: nobody knows.
        caveats: what a reader must know before believing the figures.
    """

    model: ModelFacts
    data: str
    created_at: str
    top1: Share
    top3: Share
    macro_auroc: float | None
    balanced_accuracy: float
    before: Calibration
    after: Calibration
    aurc: float
    coverage_at_95: float
    risk_coverage: tuple[RiskPoint, ...]
    verdicts: Verdicts
    breeds: tuple[BreedScore, ...]
    confused: tuple[ConfusedPair, ...]
    mistakes: tuple[Mistake, ...]
    unknown_breeds: tuple[UnknownBreed, ...]
    not_scored: tuple[NotScored, ...]
    ms_per_photo: float
    caveats: tuple[str, ...]
    recalled: int = 0
    learned: Learned | None = None
    format: int = FORMAT

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    def headline(self) -> dict[str, float]:
        """Return the plain figures for a tracker, a card or a terminal: proportions in [0, 1]."""
        low, high = self.top1.interval
        figures = {
            "photos": self.top1.n,
            "top1": self.top1.value,
            "top1_low": low,
            "top1_high": high,
            "top3": self.top3.value,
            "macro_auroc": self.macro_auroc,
            "balanced_accuracy": self.balanced_accuracy,
            "log_loss": self.after.log_loss,
            "ece_before": self.before.expected_calibration_error,
            "ece": self.after.expected_calibration_error,
            "aurc": self.aurc,
            "coverage_at_95": self.coverage_at_95,
            "named": self.verdicts.named.n / self.top1.n,
            "named_precision": self.verdicts.named.value,
            "not_scored": len(self.not_scored),
            "ms_per_photo": self.ms_per_photo,
        }
        return {name: float(value) for name, value in figures.items() if value is not None}

    def to_json(self) -> bytes:
        """Return the whole evaluation as UTF-8 JSON."""
        return _adapter().dump_json(self, indent=1)

    @classmethod
    def from_json(cls, data: bytes) -> Evaluation:
        """Return the evaluation of `to_json`.

        Raises:
            InputError: these bytes are not an evaluation of this format.
        """
        from pydantic import ValidationError

        try:
            evaluation = _adapter().validate_json(data)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"]) or "the file"
            raise InputError(f"this is not an evaluation: {place}: {first['msg']}") from error
        if evaluation.format != FORMAT:
            raise InputError(
                f"this evaluation has format {evaluation.format}, expected {FORMAT}: "
                "run `doggo evaluate` again"
            )
        return evaluation


@cache
def _adapter() -> TypeAdapter[Evaluation]:
    # Loaded on use: building the validator takes some 50 ms.
    from pydantic import TypeAdapter

    return TypeAdapter(Evaluation)
