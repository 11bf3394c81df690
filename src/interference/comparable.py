"""Whether two models meet what a measure of similarity needs: one vocabulary, or dimensions that correspond."""

from collections.abc import Iterable

from interference.scored import Model, parents, scored_by
from interference.suite import Suite

Named = tuple[str, Model]


def problem(suite: Suite, needs: str, first: Named, second: Named) -> str:
    """Why two models don't meet what a measure needs, '' where they do."""
    if needs == "vocabulary":
        one, other = (scored_by(suite, model) for _, model in (first, second))
        if one.vocabulary_digest != other.vocabulary_digest:
            return f"{first[0]} and {second[0]} map tokens to different ids"
    return basis_problem(suite, *first, *second) if needs == "basis" else ""


def why_nowhere(suite: Suite, needs: str, pairs: Iterable[tuple[Named, Named]]) -> str:
    """Why none of these pairs of models meets what a measure needs, '' where one does or there is no pair."""
    why = ""
    for pair in pairs:
        why_not = problem(suite, needs, *pair)
        if not why_not:
            return ""
        why = why or why_not
    return why


def basis_problem(suite: Suite, first: str, a: Model, second: str, b: Model) -> str:
    """Why the dimensions of two models do not correspond, '' where they do.

    They do in one checkpoint, along the suite's `parent`s, and between a merge and what has a parent's basis.
    """
    roots = [{_root(suite, name) for name in parents(model)} for model in (a, b)]
    if roots[0] & roots[1]:
        return ""
    return (
        f"{first} and {second} share no initialisation that the suite names (`parent`), so dimension k of one is not "
        "dimension k of the other"
    )


def _root(suite: Suite, name: str) -> str:
    seen = {name}
    while (parent := suite[name].parent) and parent in suite.names and parent not in seen:
        name = parent
        seen.add(name)
    return name
