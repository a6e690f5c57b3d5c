"""A grid of experiments: which options vary, and the points that they span.

Pure: words and options in, points out. Knows every option of a run by its name and type, and
none by its meaning: an option that is new to `TrainConfig` can be varied without a line here.
"""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Final, get_args, get_type_hints

from doggo.core.errors import UsageError
from doggo.train.config import TrainConfig

Value = str | int | float | bool
Options = Mapping[str, object]
Axes = Mapping[str, tuple[Value, ...]]

_SHARED: Final = ("seed", "n_labels", "n_samples")
"""Options that choose the photos: points on other photos cannot be compared."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """One combination.

    Attributes:
        varied: the options that the grid varies, at this point.
        options: all options that were given, these among them.
    """

    varied: Options
    options: Options

    @property
    def label(self) -> str:
        """The varied options in short, for a table or an axis."""
        return ", ".join(
            _text(value) if isinstance(value, str) else f"{option(name)} {_text(value)}"
            for name, value in self.varied.items()
        )

    @property
    def command(self) -> str:
        """The command line that repeats this point alone."""
        words = ["doggo", "experiment"]
        for name, value in self.options.items():
            if isinstance(value, bool):
                words.append(f"--{'' if value else 'no-'}{option(name)}")
            else:
                words += [f"--{option(name)}", _text(value)]
        return shlex.join(words)


def parse_axes(words: Sequence[str], known: Collection[str]) -> dict[str, tuple[Value, ...]]:
    """Return option → values of words such as `lr=1e-4,1e-3`.

    Args:
        known: names of the options that the command has.

    Raises:
        UsageError: a word has another form, or names an option that cannot be varied.
    """
    kinds = get_type_hints(TrainConfig)
    free = [name for name in kinds if name in known and name not in _SHARED]
    axes: dict[str, tuple[Value, ...]] = {}
    for word in words:
        name, equals, listed = word.partition("=")
        name = name.strip().lstrip("-").replace("-", "_")
        texts = [text.strip() for text in listed.split(",") if text.strip()]
        if not equals or not texts:
            raise UsageError(f"--grid {word}: write option=value,value such as lr=1e-4,1e-3")
        if name in _SHARED:
            raise UsageError(
                f"--grid cannot vary {option(name)}: it chooses the photos, and points on other "
                f"photos cannot be compared; run the grid again with another --{option(name)}"
            )
        if name not in free:
            raise UsageError(f"--grid cannot vary {name!r}: use {', '.join(map(option, free))}")
        if name in axes:
            raise UsageError(f"--grid {option(name)} is given twice: write all values in one list")
        axes[name] = tuple(dict.fromkeys(_read(name, text, kinds[name]) for text in texts))
    return axes


def span(axes: Axes, options: Options) -> tuple[Point, ...]:
    """Return every combination of the axes' values, the last axis changing fastest.

    Args:
        options: the same at every point.
    """
    points = []
    for values in itertools.product(*axes.values()):
        varied = dict(zip(axes, values, strict=True))
        points.append(Point(varied=varied, options={**options, **varied}))
    return tuple(points)


def check_values(axes: Axes, options: Options) -> None:
    """Refuse a value with which no point can be run, before time is spent on the other points.

    Raises:
        UsageError: there is one.
    """
    for name, values in axes.items():
        for value in values:
            why = [_refusal(point) for point in span({**axes, name: (value,)}, options)]
            if all(why):
                raise UsageError(f"--grid {option(name)}={_text(value)}: {why[0]}")


def _refusal(point: Point) -> str:
    try:
        TrainConfig.from_json(point.options)
    except UsageError as error:
        return str(error)
    return ""


def option(name: str) -> str:
    """Return an option's name as it is written on the command line."""
    return name.replace("_", "-")


def _read(name: str, text: str, hint: object) -> Value:
    kinds = [kind for kind in (get_args(hint) or (hint,)) if kind is not NoneType]
    try:
        return _READERS.get(kinds[0], str)(text)
    except (KeyError, ValueError) as error:
        raise UsageError(f"--grid {option(name)}: {text!r} is no value for it") from error


def _text(value: object) -> str:
    return str(value) if isinstance(value, str) else repr(value)


_READERS: Mapping[object, Callable[[str], Value]] = {
    int: int,
    float: float,
    bool: lambda text: {"true": True, "false": False}[text.lower()],
}
