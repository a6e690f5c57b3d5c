"""One thread for torch: threads of several test processes on few cores starve each other."""

from __future__ import annotations

import torch

torch.set_num_threads(1)
