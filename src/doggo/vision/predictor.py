"""The predictor: a photo's bytes in, an answer out.

The one way from bytes to a prediction: the command line, HTTP and evaluation all use it.
Owns the joint between view, runtime and verdict. Knows nothing of HTTP, queues or the store.

Legend: N photos, K breeds, H height, W width, C colour channels.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from doggo.core.errors import BundleError, PhotoError
from doggo.core.records import BreedProbability, ModelRef, Prediction
from doggo.vision.bundle import NETWORK_FILE, Bundle, bundle_sha256, bundle_version, read_bundle
from doggo.vision.pairs import Pair, choose_pair, usable_pairs
from doggo.vision.photo import canonical, decoder_name
from doggo.vision.runtime import Opener, Session, open_session
from doggo.vision.step import step_name
from doggo.vision.verdict import Evidence, calibrated

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]

RANKED_BREEDS = 8
"""Breeds of a prediction: those shown, and those offered when the first is wrong."""
DIGITS = 6
"""Decimals of what an answer tells: finer than any runtime's rounding is meaningful."""

logger = logging.getLogger(__name__)


class Predictor:
    """A loaded bundle. Every method is safe to call from several threads at once."""

    def __init__(self, bundle: Bundle, model: ModelRef, session: Session) -> None:
        self.bundle = bundle
        self.model = model
        self._session = session

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        pair: Pair | None = None,
        threads: int = 0,
        expect_sha256: str | None = None,
        open_network: Opener = open_session,
    ) -> Predictor:
        """Return the predictor of a sealed bundle, verified and warm.

        Args:
            pair: run on this one; None: the fastest that export allowed and this machine has.
            threads: requests to the network computed at once; 0: one a core.
            expect_sha256: the identity that the production pointer promises.
            open_network: loads `model.onnx`, or knows it already.

        Raises:
            BundleError: a file is missing or altered, or the network does not fit the labels.
            UsageError: this machine cannot run `pair`.
        """
        bundle = read_bundle(folder, expect_sha256=expect_sha256)
        if bundle.step != step_name():
            raise BundleError(
                f"{folder} was made with the processing step {bundle.step!r}, this installation "
                f"has {step_name()!r}: its photos would look different; train again"
            )
        if bundle.decoder != decoder_name():
            logger.info("decoder_differs bundle=%r here=%r", bundle.decoder, decoder_name())
        chosen = pair or choose_pair(bundle.trials, usable_pairs())
        session = open_network(folder / NETWORK_FILE, chosen, threads)
        model = ModelRef(
            name=bundle.name, version=bundle_version(folder), sha256=bundle_sha256(folder)
        )
        predictor = cls(bundle, model, session)
        size_px = bundle.view.size_px
        predictor.infer(np.zeros((1, size_px, size_px, 3), np.uint8))  # the first run is slow
        return predictor

    @property
    def pair(self) -> Pair:
        """The runtime and precision in use."""
        return self._session.pair

    @property
    def photos_together(self) -> int:
        """How many photos `infer_here` computes best at once."""
        return self._session.photos_together

    def view(self, data: bytes) -> U8:
        """Return what the network sees of a photo: uint8 [size_px, size_px, 3].

        Raises:
            PhotoError: the bytes are no usable picture.
        """
        view = self.bundle.view
        return view.crop(canonical(data, view.short_side_px))

    def infer(self, images_NHWC: U8) -> list[Evidence]:
        """Return what the network says of each photo; its picture is what `view` gives.

        A photo's evidence does not depend on the other photos. All cores compute.

        Raises:
            BundleError: the network's outputs do not fit the labels.
        """
        return self.evidence(self.outputs(images_NHWC))

    def outputs(self, images_NHWC: U8) -> dict[str, F32]:
        """Return the network's outputs by name, nothing calibrated. All cores compute."""
        return self._session.run(images_NHWC)

    def infer_here(self, images_NHWC: U8) -> list[Evidence]:
        """Return what `infer` does, computed on the calling thread alone."""
        return self.evidence(self._session.run_here(images_NHWC))

    def evidence(self, outputs: Mapping[str, F32]) -> list[Evidence]:
        """Return the evidence on each photo in a network's outputs, calibrated.

        Raises:
            BundleError: they do not fit the labels.
        """
        labels = len(self.bundle.labels)
        logits_NK, dog_mass_N = outputs.get("logits"), outputs.get("dog_mass")
        known_share_N = outputs.get("known_share")
        if known_share_N is None and self.bundle.format == 1 and dog_mass_N is not None:
            known_share_N = np.ones_like(dog_mass_N)
        if (
            logits_NK is None
            or dog_mass_N is None
            or known_share_N is None
            or known_share_N.shape != dog_mass_N.shape
            or logits_NK.shape != (*dog_mass_N.shape, labels)
        ):
            shapes = {name: value.shape for name, value in outputs.items()}
            raise BundleError(
                f"the network of {self.model.name} gives {shapes}, not logits of {labels} labels, "
                "a dog mass and a known share a photo; export the model again"
            )
        probabilities_NK = calibrated(logits_NK, self.bundle.temperature).astype(np.float32)
        return [
            Evidence(probabilities_K=row_K, dog_mass=float(mass), known_share=float(share))
            for row_K, mass, share in zip(probabilities_NK, dog_mass_N, known_share_N, strict=True)
        ]

    def answer(self, seen: Evidence, *, started_at: float | None = None) -> Prediction:
        """Return the prediction for one photo's evidence.

        Args:
            started_at: `time.perf_counter()` when the photo came in, for `latency_ms`.
        """
        # A stable sort: equal probabilities keep the order of the labels.
        best_first = np.argsort(-seen.probabilities_K, kind="stable")[:RANKED_BREEDS]
        waited_s = 0.0 if started_at is None else time.perf_counter() - started_at
        return Prediction(
            prediction_id=uuid.uuid4().hex,
            model=self.model,
            verdict=self.bundle.thresholds.verdict(seen),
            breeds=tuple(
                BreedProbability(
                    breed=self.bundle.labels[index],
                    probability=round(float(seen.probabilities_K[index]), DIGITS),
                )
                for index in best_first
            ),
            dog_mass=round(seen.dog_mass, DIGITS),
            latency_ms=round(1000 * waited_s, 3),
        )

    def predict(self, data: bytes) -> Prediction:
        """Return the answer for one photo's bytes.

        Raises:
            PhotoError: the bytes are no usable picture.
        """
        started_at = time.perf_counter()
        [seen] = self.infer_here(self.view(data)[None])
        return self.answer(seen, started_at=started_at)

    def predict_many(self, datas: Sequence[bytes]) -> list[Prediction | PhotoError]:
        """Return an answer, or the reason why there is none, for each photo in order.

        Every thread takes its photos all the way, so decoding and the network overlap.
        """
        size = self.photos_together
        parts = [datas[start : start + size] for start in range(0, len(datas), size)]
        answers: list[Prediction | PhotoError] = []
        pool = ThreadPoolExecutor(self._session.threads, "predict")
        try:
            for part in pool.map(self._answers, parts):
                answers += part
        finally:
            pool.shutdown(cancel_futures=True)
        return answers

    def smoke_test(self) -> None:
        """Answer for drawn pictures and check that the numbers can be an answer.

        Raises:
            BundleError: an output is missing, of the wrong shape, not finite or no probability.
        """
        seen = self.infer(_drawn(self.bundle.view.size_px))
        sums = [float(one.probabilities_K.sum(dtype=np.float64)) for one in seen]
        shares = [share for one in seen for share in (one.dog_mass, one.known_share)]
        # "not all in range", so that NaN fails.
        if not all(-1e-3 < share < 1 + 1e-3 for share in shares) or not np.allclose(
            sums, 1, atol=1e-4
        ):
            raise BundleError(
                f"{self.model.name} ({self.model.sha256[:12]}) fails its smoke test: dog mass and "
                f"known share {shares}, probabilities sum to {sums}; export it again"
            )

    def _answers(self, datas: Sequence[bytes]) -> list[Prediction | PhotoError]:
        """Return what the network says of the photos among these, on the calling thread."""
        started_at = time.perf_counter()
        views: list[U8 | PhotoError] = []
        for data in datas:
            try:
                views.append(self.view(data))
            except PhotoError as error:
                views.append(error)
        images = [view for view in views if not isinstance(view, PhotoError)]
        seen = iter(self.infer_here(np.stack(images)) if images else ())
        return [
            view if isinstance(view, PhotoError) else self.answer(next(seen), started_at=started_at)
            for view in views
        ]


def _drawn(size_px: int) -> U8:
    """Return black, white and a gradient: uint8 [3, size_px, size_px, 3]."""
    ramp = np.linspace(0, 255, size_px).astype(np.uint8)
    images_NHWC = np.zeros((3, size_px, size_px, 3), np.uint8)
    images_NHWC[1] = 255
    images_NHWC[2, :, :, 0] = ramp
    images_NHWC[2, :, :, 1] = ramp[:, None]
    return images_NHWC
