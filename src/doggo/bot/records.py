"""The records of `core/chat.py`."""

from doggo.core.chat import *  # noqa: F403
