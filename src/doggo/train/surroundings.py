"""What a training may do to the process around it: nothing that lasts.

Owns the contexts in which Lightning runs. Knows nothing of what is trained.
"""

from __future__ import annotations

import logging
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning.pytorch.utilities.exceptions import SIGTERMException

_TERMINATED = 128 + signal.SIGTERM

_EXPECTED = {
    # Lightning 2.6.6 asks torch's pytree in a way that torch 2.15 is about to drop.
    r".*isinstance\(treespec, LeafSpec\)": FutureWarning,
    # Arrays are in memory, or the processor has no core to spare for processes that load.
    r".*does not have many workers.*": Warning,
    # Our folder holds this run's checkpoints only; both are replaced.
    r".*Checkpoint directory .* exists.*": Warning,
    # Every process gathers all answers before it logs: the figures are the same.
    r".*recommended to use .*sync_dist=True.*": Warning,
    # Batch norm is meant to stay in eval mode: see train/student.py.
    r".*module\(s\) in eval mode at the start.*": Warning,
    # Depthwise convolutions are channels-last; so few gradients are copied soon enough.
    r"Grad strides do not match bucket view strides.*": Warning,
    # A small experiment has fewer steps an epoch than Lightning's logging interval.
    r".*The number of training batches.*": Warning,
}
_LOGGER = "lightning.pytorch.utilities.rank_zero"


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Keep Lightning's banners and the warnings of its own dependencies off the screen."""
    level = logging.getLogger(_LOGGER).level
    try:
        with warnings.catch_warnings():
            hush()
            yield
    finally:
        logging.getLogger(_LOGGER).setLevel(level)


def hush() -> None:
    """Do what `quiet_lightning` does for the rest of this process's life."""
    for message, category in _EXPECTED.items():
        warnings.filterwarnings("ignore", message, category)
    logging.getLogger(_LOGGER).setLevel(logging.WARNING)
    logging.getLogger("lightning.fabric.utilities.distributed").setLevel(logging.WARNING)


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread: steps are too small to share, and sums keep their order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def interruptible() -> Iterator[None]:
    """Make Ctrl-C a KeyboardInterrupt again, and SIGTERM an exit that is no success.

    Lightning turns the one into exit and deaf to SIGINT, the other into an exit with 0.
    """
    handler: Any = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SIGTERMException:
        raise SystemExit(_TERMINATED) from None
    except SystemExit as error:
        if not isinstance(error.__context__, KeyboardInterrupt):
            raise
        signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from None
