"""Numbers as they are written in sentences and figures: with a real minus sign, and no zero below zero."""


def plain(number: float, decimals: int) -> str:
    """A number with so many decimals."""
    return f"{round(number, decimals) + 0.0:.{decimals}f}".replace("-", "−")


def signed(number: float, decimals: int) -> str:
    """A difference with its sign; what rounds to zero has none below zero."""
    return f"{round(number, decimals) + 0.0:+.{decimals}f}".replace("-", "−")


def signed_short(number: float) -> str:
    """A difference as it fits into a cell: two decimals, one of ten and more."""
    return signed(number, 1 if abs(number) >= 10 else 2)
