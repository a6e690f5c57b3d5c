"""LitServe serving the same network: one worker, its batching, its defaults.

`docs`: as LitServe's documentation writes an image classifier: Pillow in a thread pool inside
`batch`, the network on the whole batch, here in onnxruntime f32 with its default threads (the
documentation uses PyTorch eager, which is three times slower on this network). `ours`: the same
server around our decoder and our runtime. Run by the LitServe venv of benchmarks/serve.py.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import litserve as ls
import numpy as np
from PIL import Image

MAX_BATCH = 8
BATCH_TIMEOUT_S = 0.01


class Docs(ls.LitAPI):
    """Pillow and onnxruntime."""

    folder: Path

    def setup(self, device: str) -> None:
        import json

        import onnxruntime

        self.session = onnxruntime.InferenceSession(
            str(self.folder / "model.onnx"), providers=["CPUExecutionProvider"]
        )
        self.labels = json.loads((self.folder / "bundle.json").read_text())["labels"]
        self.pool = ThreadPoolExecutor(os.cpu_count())

    def decode_request(self, request):
        return request["photo"].file.read()

    def batch(self, inputs):
        return np.stack(list(self.pool.map(process, inputs)))

    def predict(self, x):
        logits_NK, _ = self.session.run(["logits", "dog_mass"], {"images": x})
        return softmax(logits_NK)

    def unbatch(self, output):
        return list(output)

    def encode_response(self, output):
        best = np.argsort(-output)[:3]
        return {
            "breeds": [{"breed": self.labels[i], "probability": float(output[i])} for i in best]
        }


def process(data: bytes) -> np.ndarray:
    """Return what torchvision's Resize(256) and CenterCrop(224) would: uint8 [224, 224, 3]."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    scale = 256 / min(image.size)
    width, height = (round(side * scale) for side in image.size)
    image = image.resize((width, height), Image.Resampling.BILINEAR)
    left, top = (width - 224) // 2, (height - 224) // 2
    return np.asarray(image.crop((left, top, left + 224, top + 224)))


def softmax(logits_NK: np.ndarray) -> np.ndarray:
    weights_NK = np.exp(logits_NK - logits_NK.max(axis=1, keepdims=True))
    return weights_NK / weights_NK.sum(axis=1, keepdims=True)


class Ours(ls.LitAPI):
    """Our decoder and our runtime, batched the same way."""

    folder: Path
    pair: str

    def setup(self, device: str) -> None:
        from doggo.core.wire import prediction_json
        from doggo.vision.pairs import Pair
        from doggo.vision.predictor import Predictor

        self.predictor = Predictor.load(self.folder, pair=Pair.parse(self.pair))
        self.json = prediction_json
        self.pool = ThreadPoolExecutor(os.cpu_count())

    def decode_request(self, request):
        return request["photo"].file.read()

    def batch(self, inputs):
        return np.stack(list(self.pool.map(self.predictor.view, inputs)))

    def predict(self, x):
        return self.predictor.infer(x)

    def unbatch(self, output):
        return output

    def encode_response(self, output):
        return self.json(self.predictor.answer(output))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=["docs", "ours"])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("port", type=int)
    parser.add_argument("--pair", default="")
    options = parser.parse_args()
    kind = {"docs": Docs, "ours": Ours}[options.kind]
    kind.folder, kind.pair = options.bundle, options.pair
    api = kind(max_batch_size=MAX_BATCH, batch_timeout=BATCH_TIMEOUT_S, api_path="/v1/predict")
    # The worker is a child made with `spawn`: it imports this file anew, so it needs the values.
    api.folder, api.pair = options.bundle, options.pair
    server = ls.LitServer(api, accelerator="cpu", devices=1, workers_per_device=1)
    sys.exit(server.run(host="127.0.0.1", port=options.port, generate_client_file=False))
