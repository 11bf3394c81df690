"""The guided finding: five states of the bench, from one model alone to a merge that works. Pure: no torch."""

from dataclasses import dataclass, replace

from interference.bench import PARENTS
from interference.recipe import Recipe
from interference.suite import Suite


@dataclass(frozen=True)
class Step:
    """One state of the bench: its short name, one sentence on what to look at, and the recipe."""

    title: str
    sentence: str
    recipe: Recipe


def guide(suite: Suite) -> tuple[Step, ...]:
    """The steps that this suite has the checkpoints for, in order; none without two monolingual ones to merge."""
    every = [c for c in suite.with_role("mono") if c.language and c.name in suite.together]
    monos = every[:PARENTS]
    if len(monos) < 2:
        return ()
    first, second = monos[:2]
    branches = tuple(c.name for c in suite.last_with_role("branch"))[:PARENTS]
    names = tuple(c.name for c in monos)
    counted = f"All {len(names)}" if len(every) == len(names) else f"{len(names)} of {len(every)}"
    steps = [
        Step(
            "One alone",
            f"{first.name} by itself: see its own language, and then the ones it never read.",
            _only(names, first.name),
        ),
        Step(
            "Another alone",
            f"{second.name} by itself: the picture turns over, and what {first.name} knew is gone.",
            _only(names, second.name),
        ),
        Step(
            "Two averaged",
            f"Half {first.name}, half {second.name}: is either language still there?",
            _equal((first.name, second.name)),
        ),
    ]
    if len(names) > 2:
        steps.append(
            Step(
                "All averaged" if len(every) == len(names) else f"{len(names)} averaged",
                f"{counted} monolingual models, equally: compare the merge with the untrained model.",
                _equal(names),
            )
        )
    if len(branches) > 1:
        steps.append(
            Step(
                "Branches averaged",
                f"{len(branches)} models that branched from one parent, equally: the same arithmetic, another outcome.",
                _equal(branches),
            )
        )
    return tuple(steps)


def opening(suite: Suite) -> Recipe | None:
    """The merge that the Merge page opens with: all monolingual models, equally, of training runs the last checkpoints.

    None where it opens with another: without two of them, or with more than its panel shows or that can't be merged.
    """
    names = tuple(c.name for c in suite.last_with_role("mono"))
    if not 2 <= len(names) <= PARENTS or not suite.fits(names):
        return None
    equal = _equal(names)
    return replace(equal, knobs=tuple(equal.settings().items()))


def _equal(names: tuple[str, ...]) -> Recipe:
    return Recipe("linear", names, (round(1 / len(names), 2),) * len(names))


def _only(names: tuple[str, ...], one: str) -> Recipe:
    return Recipe("linear", names, tuple(float(name == one) for name in names))
