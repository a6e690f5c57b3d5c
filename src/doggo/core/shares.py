"""A probability as people read it. Pure; used by the command line and the bot, and by the page in
the words of `web/static/words.js`."""

from __future__ import annotations


def share(probability: float, decimals: int = 0) -> str:
    """Return a probability in percent, without the sign, but never 0 or 100 of them.

    Nothing that a model says is certain: 0.9997 is ">99", or ">99.9" with one decimal.
    """
    step = 10.0**-decimals
    shown = 100 * probability
    if shown < step:
        return f"<{step:.{decimals}f}"
    if shown >= 100 - step / 2:
        return f">{100 - step:.{decimals}f}"
    return f"{min(shown, 100 - step):.{decimals}f}"
