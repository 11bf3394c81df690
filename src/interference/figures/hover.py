"""What a hover says of numbers: Plotly's own formats make a zero of one that is missing."""

import numpy as np
from numpy.typing import ArrayLike


def said(number: float | None, form: str) -> str:
    """A number in a format of Python's; a dash where there is none."""
    return "–" if number is None or number != number else f"{number:{form}}".replace("-", "−")


def between(low: float | None, high: float | None, form: str = ".3f") -> str:
    """The line of a 95 % interval; nothing where there is none."""
    return "" if low is None or low != low else f"<br>95 % {said(low, form)} to {said(high, form)}"


def all_said(numbers: ArrayLike, form: str) -> np.ndarray:
    """`said` of every entry, in an array of the same shape."""
    values = np.asarray(numbers, dtype=float)
    return np.array([said(value, form) for value in values.ravel().tolist()], dtype=object).reshape(values.shape)


def all_between(low: ArrayLike, high: ArrayLike, form: str = ".3f") -> np.ndarray:
    """`between` of every two entries, in an array of the same shape."""
    lows, highs = np.asarray(low, dtype=float), np.asarray(high, dtype=float)
    pairs = zip(lows.ravel().tolist(), highs.ravel().tolist(), strict=True)
    return np.array([between(*pair, form) for pair in pairs], dtype=object).reshape(lows.shape)
