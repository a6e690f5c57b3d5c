"""The runtimes report to their makers that they were loaded and on what; here they do not.

onnxruntime (since 1.32) keeps an id and a queue of events in the user's cache and sends them to
Microsoft; `import openvino` sends an event with an id to Google Analytics for Intel.
"""

from __future__ import annotations

import os
import sys


def tell_nobody() -> None:
    """Turn the reports of onnxruntime and OpenVINO off, in this process and its children.

    Call it before either is loaded: both speak while they are.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    # OpenVINO has no switch but in the user's home. It does without what cannot be imported.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
