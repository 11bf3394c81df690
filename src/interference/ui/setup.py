"""What is settled above the coefficients."""

from dataclasses import dataclass

from interference.registry import Method
from interference.ui.more import More


@dataclass(frozen=True)
class Setup:
    """The row above the sliders: what is merged, how, and what is drawn beside it."""

    method: Method
    parents: tuple[str, ...]
    base: str | None
    more: More
    controls: tuple[str, ...]
    sentences: int

    @property
    def complete(self) -> bool:
        least, most = self.method.parents
        return least <= len(self.parents) <= most

    @property
    def missing(self) -> str:
        """What the user has still to do before there is a merge."""
        if self.complete:
            return "Give at least one parent a coefficient other than zero."
        least, most = self.method.parents
        wanted = f"exactly {least}" if least == most else f"at least {least}"
        return f"{self.method.label} merges {wanted} parents, {len(self.parents)} chosen: choose them under Parents."
