"""Names of checkpoints as they fit beside a slider and on the axes of a figure, and words as they begin a sentence."""

import re
from collections.abc import Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from interference.recipe import Recipe

_LONGEST = 12  # characters that a name may have before anything of it is left out


def capitalised(text: str) -> str:
    """With a capital at its start, those within kept: `str.capitalize` would write "cka" of "CKA"."""
    return text[:1].upper() + text[1:]


def labels(names: Sequence[str]) -> tuple[str, ...]:
    """The names without the words that all have at the same place, where one is long: ids of the Hub share most.

    Of names with different numbers of words that is their beginning. Where all share nothing, those that begin with
    the same word are shortened by themselves. What is left out is an ellipsis; distinct names stay distinct. Words end
    with one of `/ - _ @ .`.
    """
    found = dict(zip(names, _shortened(names), strict=True))
    if any("…" in name for name in found.values()):
        return tuple(found[name] for name in names)
    by_start: dict[str, list[str]] = {}
    for name in found:
        by_start.setdefault(_words(name)[0], []).append(name)
    apart = {name: short for own in by_start.values() for name, short in zip(own, _shortened(own), strict=True)}
    return tuple((apart if len(set(apart.values())) == len(found) else found)[name] for name in names)


def _shortened(names: Sequence[str]) -> tuple[str, ...]:
    if len(set(names)) < 2 or max(map(len, names)) <= _LONGEST:
        return tuple(names)
    words = [_words(name) for name in names]
    shared = [len(set(place)) == 1 for place in zip(*words, strict=False)]
    if len(set(map(len, words))) > 1:
        shared = list(takewhile(bool, shared))
    marks = [*shared, *[False] * max(map(len, words))]
    marked = ("".join("\0" if same else word for word, same in zip(own, marks, strict=False)) for own in words)
    return tuple(re.sub(r"[/_@.-]?\0+$|\0+", "…", name) for name in marked)


def _words(name: str) -> list[str]:
    return re.split(r"(?<=[/_@.-])(?=.)", name)


def merge_of(recipe: "Recipe") -> str:
    """A merge in a caption: its label and its parents."""
    return f"{recipe.label()} of {', '.join(labels(recipe.models))}"


def ticks(names: Sequence[str]) -> dict[str, Any]:
    """Plotly's settings of an axis with a label at every name: left to itself it leaves out some of many."""
    return {"tickvals": list(names), "ticktext": list(labels(names))}
