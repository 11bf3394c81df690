"""Comparing merge methods: the same parents under each, at its default and at its best on the dev half. No torch."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from interference.corpus import Corpus
from interference.errors import UserError, check_known
from interference.languages import language_name
from interference.recipe import BASES, Recipe
from interference.registry import Argument, Method, methods, post_steps
from interference.statistics import clustered_means
from interference.tables import LossTable, unit_sizes

TRIES = 8  # settings of one method scored on the dev half at most, its default among them
FAVOURED = 0.75  # the coefficient of one parent where coefficients are searched, the others share the rest
SEARCHED_PARENTS = 4  # with more parents than this coefficients stay equal
DEFAULT, BEST, STEP, REFERENCE = "default", "best", "post-step", "reference"
REFERENCES, AFTER = "references", "after an average"  # families of lines that are no method
_NUMBERS = ("value", "low", "high", "cost", "cost_low", "cost_high")
COLUMNS = (
    "method", "label", "family", "variant", "settings", "tried", "language", "sentences", "unit", *_NUMBERS,
    "reference", "recovery", "seconds", "reason",
)  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """What is compared: these checkpoints under these methods (all where none is named), on these languages.

    Methods that need a base take `base`: a checkpoint, '@mean', '@zero', or None, without which they are not run.
    Raises UserError for what no method could merge.
    """

    models: tuple[str, ...]
    languages: tuple[str, ...]
    base: str | None = None
    methods: tuple[str, ...] = ()
    search: bool = True
    sentences: int | None = None

    def __post_init__(self) -> None:
        if not self.models:
            raise UserError("No models are given to compare methods on. Name two or more checkpoints.")
        if twice := [name for name in self.models if self.models.count(name) > 1]:
            raise UserError(f"{twice[0]} is named twice. Name every model once.")
        if self.base in self.models:
            raise UserError(
                f"{self.base} is the base and one of the models; its difference from itself is zero. Take it out of "
                "the models, or choose another base."
            )
        check_known("Unknown merge method", methods(), *self.methods)

    @property
    def chosen(self) -> tuple[Method, ...]:
        """The methods compared, family by family."""
        names = self.methods or tuple(methods())
        return tuple(sorted((methods()[n] for n in dict.fromkeys(names)), key=lambda m: (m.family, m.name)))

    def default(self, method: Method) -> Recipe:
        """A method with equal coefficients and every knob at its default. Raises UserError where it can't be run."""
        if method.needs_base and self.base is None:
            raise UserError(f"{method.name} needs a base and none is given; name one, such as init or @mean.")
        count = len(self.models)
        return Recipe(
            method.name,
            self.models,
            (round(1 / count, 4),) * count if method.weighted else (),
            tuple((a.name, a.default) for a in method.arguments),
            self.base if method.needs_base else None,
        )

    def steps(self) -> Iterator[Recipe]:
        """The plain average with each post-step, where it is compared at all."""
        if self.methods and "linear" not in self.methods:
            return iter(())
        average = self.default(methods()["linear"])
        return (replace(average, post=(name,)) for name in post_steps())


def moves(start: Recipe) -> list[list[tuple[str, Any]]]:
    """What is tried from a method's default: lists of (knob or 'weight', value), the best of each list being kept.

    Knobs share what TRIES leaves after switches and coefficients: halves, quarters and eighths of their range, whole
    numbers around their default. A knob that may differ between parents is moved for all of them together.
    """
    arguments = start.definition.arguments
    switches = [a for a in arguments if isinstance(a.default, bool)]
    rows = _coefficients(start)
    knobs = len(arguments) - len(switches)
    each = max(1, (TRIES - 1 - len(switches) - len(rows)) // knobs) if knobs else 0
    values: dict[str, Sequence[Any]] = {
        a.name: [not a.default] if a in switches else _values(a)[:each] for a in arguments
    }
    found: list[list[tuple[str, Any]]] = [[("weight", row) for row in rows]]
    found += [[(name, v) for v in tried] for name, tried in values.items()]
    return [changes for changes in found if changes]


def changed(recipe: Recipe, name: str, value: Any) -> Recipe | None:
    """A recipe with one of its moves; None where that can't be merged."""
    try:
        if name == "weight":
            return replace(recipe, weights=value)
        return replace(recipe, knobs=tuple((dict(recipe.knobs) | {name: value}).items()))
    except UserError:
        return None


def _coefficients(start: Recipe) -> list[tuple[float, ...]]:
    """Each parent favoured in turn; with many parents their plain sum, for methods that divide by nothing."""
    count = len(start.models)
    if not start.weights or count < 2:
        return []
    if count > SEARCHED_PARENTS:
        settings = start.settings()
        summed = start.base and not (settings.get("normalize") or settings.get("normalize_weights"))
        return [(1.0,) * count] if summed else []
    rest = round((1 - FAVOURED) / (count - 1), 4)
    return [tuple(FAVOURED if i == one else rest for i in range(count)) for one in range(count)]


def _values(argument: Argument) -> list[Any]:
    """Values of a knob other than its default, those to try first in front."""
    control: Any = argument.control
    if argument.whole:
        near = [argument.default + step for distance in range(1, TRIES) for step in (distance, -distance)]
        return [value for value in near if control.low <= value <= control.high]
    shares = (1 / 2, 1 / 4, 3 / 4, 1 / 8, 5 / 8, 3 / 8, 7 / 8)
    steps = [round((control.high - control.low) * share / control.step) for share in shares]
    values = [float(f"{control.low + step * control.step:.6g}") for step in steps]
    return [value for value in values if abs(value - argument.default) > control.step / 2]


@dataclass(frozen=True)
class Line:
    """One line of a comparison: a method at one setting, a post-step or a reference.

    `tried` counts the settings scored on the dev half, `seconds` is what merging took; `table` has one row for each
    language, and is None where `reason` says why, which is `passing` where memory was short. `bits` are a merge's bits
    of every sentence by language.
    """

    name: str
    label: str
    family: str
    variant: str
    recipe: Recipe | None = None
    tried: int = 0
    seconds: float = np.nan
    table: LossTable | None = None
    bits: Mapping[str, np.ndarray] = field(default_factory=dict, compare=False, repr=False)
    reason: str = ""
    passing: bool = False

    @property
    def settings(self) -> str:
        """Coefficients, knobs and base in one line."""
        if self.recipe is None:
            return ""
        weights = self.recipe.weights
        parts = ["weight=" + "/".join(map(_shown, dict.fromkeys(weights) if len(set(weights)) == 1 else weights))]
        parts = parts if weights else []
        parts += [f"{name}={_shown(value)}" for name, value in self.recipe.knobs]
        if self.recipe.base:
            parts.append(f"base={BASES.get(self.recipe.base, self.recipe.base)}")
        return ", ".join(parts)


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}"


@dataclass(frozen=True)
class CompareTable:
    """The lines of a comparison that are known, and the text they are measured on."""

    asked: Comparison
    lines: tuple[Line, ...]
    notes: tuple[str, ...] = ()
    corpus: Corpus | None = None

    def in_unit(self, unit: str) -> pd.DataFrame:
        """COLUMNS, one row for each line and language; a line that could not be run has its reason and no numbers."""
        parts = [_rows(line, self.asked.languages, unit) for line in self.lines]
        empty = pd.DataFrame({name: [] for name in COLUMNS})
        return pd.concat(parts, ignore_index=True)[list(COLUMNS)] if parts else empty

    def with_recipes(self, unit: str) -> pd.DataFrame:
        """`in_unit` and the recipe of each merge, which has every coefficient and model in full."""
        found = self.in_unit(unit)
        recipes = {(line.name, line.variant): line.recipe.to_yaml() if line.recipe else "" for line in self.lines}
        return found.assign(recipe=[recipes[line] for line in zip(found["method"], found["variant"], strict=True)])

    def beyond(
        self, line: tuple[str, str], best: tuple[str, str], languages: Sequence[str], unit: str
    ) -> tuple[float, float, float]:
        """What one merge, (method, variant), needs more than another, mean of languages, with its 95 % interval.

        Paired sentence by sentence, a document drawn in all languages at once; bytes are counted over all documents.
        """
        assert self.corpus  # a whole comparison has its text
        rows, bits = self.corpus.rows(self.asked.sentences), {(one.name, one.variant): one.bits for one in self.lines}
        more = [
            (bits[line][code] - bits[best][code]) / unit_sizes(unit, self.corpus, code, rows).mean()
            for code in languages
        ]
        found = clustered_means(np.mean(more, axis=0)[None], [self.corpus.documents[row] for row in rows])
        mean, low, high = (float(one[0]) for one in found)
        return mean, low, high

    @property
    def provenance(self) -> dict[str, str]:
        """That of the line made of most checkpoints: some methods have a base besides, which others do without."""
        found = [line.table.provenance for line in self.lines if line.table]
        return dict(max(found, key=lambda one: len(one["weights_sha256"]), default={}))


def _rows(line: Line, languages: Sequence[str], unit: str) -> pd.DataFrame:
    if line.table is None:
        numbers = pd.DataFrame({"language": list(languages)}).assign(
            sentences=0, reference=None, **dict.fromkeys((*_NUMBERS, "recovery"), np.nan)
        )
    else:
        found = line.table.in_unit(unit).drop(columns=["cost", "cost_low", "cost_high"])
        own = {f"{name}_value": name for name in ("cost", "cost_low", "cost_high")}
        numbers = found.rename(columns=own)[["language", "sentences", *_NUMBERS, "reference", "recovery"]]
    return numbers.assign(
        method=line.name, label=line.label, family=line.family, variant=line.variant, settings=line.settings,
        tried=line.tried, unit=unit, seconds=line.seconds, reason=line.reason,
    )  # fmt: skip


def compare_sentence(
    table: CompareTable, unit: str, language: str | None = None, families: Collection[str] = ()
) -> str:
    """What a comparison shows: the best method over its languages beside what needs no merge, and the next.

    Where one of several languages is drawn alone, a last sentence says which is the best there. Of the methods, those
    of the given families are meant, if there are any.
    """
    frame = table.in_unit(unit).dropna(subset=["value"])
    beside, shown = ~frame["variant"].isin([DEFAULT, BEST]), frame["family"].isin(families)
    chosen = bool((shown & ~beside).any())
    frame = frame[shown | beside] if chosen else frame
    frame = frame[frame["language"].isin(frame.loc[frame["variant"].isin([DEFAULT, BEST]), "language"])]
    lines = frame.groupby(["method", "variant"], sort=False)["value"]
    means = lines.mean()[lines.size() == frame["language"].nunique()]  # others can't stand beside
    merges = means[[variant in (DEFAULT, BEST) for _, variant in means.index]]
    if merges.empty:
        return "No method has been measured yet."
    (name, variant), value = merges.index[int(merges.argmin())], merges.min()
    count = len(dict.fromkeys(method for method, _ in merges.index))
    counted = f"{'the ' if chosen else ''}{count} method{'s' if count > 1 else ''}{' shown' if chosen else ''}"
    levels = [f"{n} {means[n, REFERENCE]:.3g}" for n in ("best parent", "unigram", "init") if (n, REFERENCE) in means]
    aside = f" ({', '.join(levels)})" if levels else ""
    languages = frame["language"].nunique()
    sentence = (
        f"**Of {counted} {name} ({variant}) needs least: {value:.3g} {unit}**, mean of {languages} "
        f"language{'s' if languages > 1 else ''}{aside}."
    )
    rivals = merges[(merges.index.get_level_values("method") != name) & (merges > value)]  # variants may be the same
    if table.corpus and not rivals.empty:
        next_best = rivals.index[int(rivals.argmin())]
        more, low, high = table.beyond(next_best, (name, variant), list(frame["language"].unique()), unit)
        between = f" ({low:.3g} to {high:.3g})" if np.isfinite(low) else ""
        sentence += f" Next is {next_best[0]} ({next_best[1]}) with {more:.3g}{between} more."
    here = frame[(frame["language"] == language) & frame["variant"].isin([DEFAULT, BEST])]
    if languages < 2 or here.empty:
        return sentence
    best = here.iloc[int(here["value"].argmin())]
    return (
        f"{sentence} For {language_name(str(language))} alone it is {best['method']} ({best['variant']}) with "
        f"{best['value']:.3g}."
    )
