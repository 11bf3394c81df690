"""Tables that describe a suite and the methods: what pages and the command line list."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from interference.bench import Pin
from interference.causal import RESTORED, TRANSPLANTED, WHOLE, CausalTable
from interference.conflict.registry import Measure
from interference.conflict.table import ConflictTable
from interference.corpus import Corpus
from interference.ensemble import BEST, KINDS, LOGITS, PROBABILITIES, Ensemble
from interference.languages import language_name
from interference.linearity import RESIDUAL, LayerTable
from interference.path import PathTable
from interference.plane import PlaneTable
from interference.predict import TESTS, Prediction
from interference.recipe import Recipe
from interference.registry import Argument, Knob, methods
from interference.scored import BIGRAM, UNIGRAM, Request, Scored
from interference.signs import plain, signed
from interference.suite import Suite, difference
from interference.tables import LossTable

MERGE = "merge"
RESCALED = "merge, rescaled"
BEFORE = "merge, before its post-steps"
PERFECT = "perfect model"
CONTROLS = {  # rows of a merge's table and their roles in its figure
    MERGE: "merge", BEFORE: "before post-steps", RESCALED: "rescaled", LOGITS: LOGITS, PROBABILITIES: PROBABILITIES,
    BEST: "best on dev", UNIGRAM: "unigram", BIGRAM: "bigram",
}  # fmt: skip
BESIDE = {  # what can be asked for beside a merge, and what it would show
    "rescaled": ("rescaled merge", "The merge with every tensor at its parents' mean norm: not mere shrinkage?"),
    "unigram": ("unigram model", "Counting tokens of each language: does the merge use any context?"),
    "bigram": ("bigram model", "Counting pairs of tokens of each language."),
    "logits": (LOGITS, "The parents unmerged, their logits averaged: what their predictions alone would give."),
    "probabilities": (PROBABILITIES, "The parents unmerged, their probabilities averaged."),
    "best": ("best parent on dev", "The parent that needs least for the language's dev half, unmerged."),
}
FAVOURED = 0.55


def suite_table(suite: Suite) -> pd.DataFrame:
    """One row per checkpoint. `group` numbers sets that can be merged; `why_not` says what parts one from group 1."""
    groups = {name: number for number, names in enumerate(suite.groups, start=1) for name in names}
    first = suite[suite.groups[0][0]]
    return pd.DataFrame(
        [
            {
                "name": c.name, "role": c.role, "language": c.language, "parent": c.parent, "step": c.step,
                "architecture": c.architecture, "parameters": c.parameters, "bytes": c.bytes, "dtype": c.dtype,
                "group": groups[c.name], "why_not": difference(first, c) if groups[c.name] > 1 else "",
            }
            for c in suite.checkpoints
        ]
    ).astype({"step": "Int64"})  # fmt: skip


def method_table() -> pd.DataFrame:
    """One row per merge method."""
    return pd.DataFrame(
        [
            {
                "method": m.name,
                "label": m.label,
                "base": m.base,
                "models": str(m.parents[0]) if m.parents[0] == m.parents[1] else f"{m.parents[0]} or more",
                "parameters": ", ".join(
                    (["weight per model"] if m.weighted else []) + [_describe(a) for a in m.arguments]
                ),
                "source": m.source,
                "what it does": m.caption,
            }
            for m in methods().values()
        ]
    )


def _describe(argument: Argument) -> str:
    control = argument.control
    kind = f"{control.low:g} to {control.high:g}" if isinstance(control, Knob) else "true or false"
    per_model = " per model" if isinstance(control, Knob) and control.per_model else ""
    return f"{argument.name}{per_model} ({kind}, default {str(argument.default).lower()})"


def merge_view(frame: pd.DataFrame, recipe: Recipe, suite: Suite, rows: np.ndarray) -> pd.DataFrame:
    """The rows of a merge's figure: a table or glimpse in a unit with a column `role`, one for each role and language.

    Roles: those in CONTROLS, reference, best parent, untrained, perfect model; what the table lacks is left out.
    """
    corpus = suite.corpus
    assert corpus is not None  # an evaluator made the table, and it refuses suites without one
    models, languages, values = (frame[column].tolist() for column in ("model", "language", "value"))
    references = {language: suite.reference(language) for language in set(languages)}
    best: dict[str, int] = {}
    parents = set(recipe.models) if set(models) >= set(recipe.models) else ()  # the best of some would be another
    for place, (model, language, value) in enumerate(zip(models, languages, values, strict=True)):
        if model in parents and (language not in best or value < values[best[language]]):
            best[language] = place
    cells = list(enumerate(zip(models, languages, strict=True)))
    places = {role: [i for i, (model, _) in cells if model == name] for name, role in CONTROLS.items()}
    places["reference"] = [i for i, (model, language) in cells if model == references[language]]
    places["untrained"] = [i for i, (model, _) in cells if model == suite.untrained]
    places["best parent"] = sorted(best.values())
    found = frame.take([i for role in places.values() for i in role])  # one copy: this follows a slider
    found = found.assign(role=[role for role, chosen in places.items() for _ in chosen])
    perfect = perfect_model(frame, corpus, rows).assign(role="perfect model")
    return pd.concat([found, perfect], ignore_index=True) if len(perfect) else found.reset_index(drop=True)


def suite_view(table: LossTable, corpus: Corpus, rows: np.ndarray, unit: str) -> pd.DataFrame:
    """The rows of the Suite page's heat map: `table` in a unit, the perfect model first."""
    frame = table.in_unit(unit)
    return pd.concat([perfect_model(frame, corpus, rows), frame], ignore_index=True)


def perfect_model(frame: pd.DataFrame, corpus: Corpus, rows: np.ndarray) -> pd.DataFrame:
    """What the generator of the text needs by language, in the unit of `frame`; no rows where it has no generator."""
    languages = frame["language"].tolist()
    known = [language for language in dict.fromkeys(languages) if language in corpus.entropy]
    cells = frame.take([languages.index(language) for language in known])
    bits = [float(np.mean([corpus.entropy[language][row] for row in rows])) for language in known]
    empty = dict.fromkeys(["low", "high", "cost_value", "cost_low_value", "cost_high_value", "recovery"], np.nan)
    scale = (cells["value"] / cells["bits_per_sentence"]).to_numpy()
    return cells.assign(model=PERFECT, value=bits * scale, **empty)


def merge_request(
    recipe: Recipe, suite: Suite, languages: Sequence[str], sentences: int | None, controls: Sequence[str] = ()
) -> Request:
    """What a merge's figure needs: the merge, what of BESIDE is asked for, its parents, the references and init.

    A merge with post-steps stands beside the same without, so that its method does not get their credit.
    """
    models: list[tuple[str, Scored]] = [(MERGE, recipe)]
    if recipe.post:
        models.append((BEFORE, replace(recipe, post=())))
    if "rescaled" in controls:
        models.append((RESCALED, replace(recipe, post=("rescale",))))
    parents = tuple(dict.fromkeys(recipe.models))
    models += [(KINDS[kind], Ensemble(parents, KINDS[kind])) for kind in KINDS if kind in controls]
    models += [(counted, counted) for counted in (UNIGRAM, BIGRAM) if counted in controls]
    references = [suite.reference(language) for language in languages]
    companions = [*recipe.models, *references, suite.untrained]
    models += [(name, name) for name in dict.fromkeys(companions) if name]
    return Request(tuple(models), tuple(languages), sentences)


def pin_request(
    pins: Sequence[Pin], baseline: Pin | None, languages: Sequence[str], sentences: int
) -> tuple[Request, dict[str, str]]:
    """All pins on the same languages and sentences, costs counted from the baseline if there is one.

    With the request comes what each of its models is called on the page: two pins may have one name, and a pin's name
    may be a checkpoint's.
    """
    keys = [f"\0pin {number}" for number in range(len(pins))]  # no checkpoint's; numpy drops \0 at the end of a text
    models = tuple((key, pin.view.recipe) for key, pin in zip(keys, pins, strict=True))
    against = next((key for key, pin in zip(keys, pins, strict=True) if pin == baseline), None)
    names = {key: f"{number + 1} · {pin.name}" for number, (key, pin) in enumerate(zip(keys, pins, strict=True))}
    return Request(models, tuple(languages), sentences, against), names


def presets(parents: Sequence[str], one: str) -> dict[str, tuple[dict[str, float], str]]:
    """Coefficients of each preset with its caption, to the sliders' two digits."""
    rest = round((1 - FAVOURED) / max(len(parents) - 1, 1), 2)
    return {
        "Equal": (dict.fromkeys(parents, round(1 / len(parents), 2)), "The same coefficient for every parent."),
        "Only": ({p: float(p == one) for p in parents}, f"All of {one}, nothing of the others."),
        "Favour": ({p: FAVOURED if p == one else rest for p in parents}, f"{FAVOURED} of {one}, {rest} of each other."),
    }


def merge_sentence(frame: pd.DataFrame, unit: str) -> str:
    """What a merge's figure shows, in one sentence: means over its languages, and how many are back at untrained.

    What lacks one of them is left out, for a mean over other languages can't stand beside.
    """
    by_role: dict[str, dict[str, float]] = {}
    for role, language, value in zip(*(frame[c].tolist() for c in ("role", "language", "value")), strict=True):
        if value == value:  # no bits per byte where the tokenizer loses text
            by_role.setdefault(role, {})[language] = value
    merge = by_role.get("merge", {})
    if not merge:
        return f"**The merge has no {unit}.**"
    whole = {role: values for role, values in by_role.items() if merge.keys() <= values.keys()}
    means = {role: sum(values[language] for language in merge) / len(merge) for role, values in whole.items()}
    named = {
        "reference": "references",
        "best parent": "best parents",
        "untrained": "untrained",
        "perfect model": "perfect",
    }
    parts = [f"mean of {len(merge)} language{'s' if len(merge) > 1 else ''}"]
    parts += [
        f"{text} {_amount(means[role])}"
        for role, text in named.items()
        if role in means and not (role == "best parent" and "reference" in means)
    ]
    sentence = f"**The merge needs {_amount(means['merge'])} {unit}** ({', '.join(parts)})."
    untrained = by_role.get("untrained", {})
    if known := [code for code in merge if code in untrained]:
        near = [code for code in known if merge[code] > 0.9 * untrained[code]]
        sentence += f" Untrained level or worse (at least 90 % of its bits) in {len(near)} of {len(known)}."
    return sentence


def path_sentence(table: PathTable, unit: str) -> str:
    """What a path's figure shows, in one sentence: the middle, and the barriers that are defined."""
    summary, walk = table.summary[unit].dropna(subset=["middle_excess"]), table.walk
    halfway = f"**Halfway from {walk.first} to {walk.second}**"
    known = summary[summary["known_by"] != ""]  # elsewhere the better parent is no standard: it knows nothing
    if known.empty:
        return f"{halfway} there is nothing to lose: neither end knows one of these languages in this unit."
    excess, defined = known["middle_excess"].mean(), summary[summary["why_no_barrier"] == ""]
    whose = "that an end knows " if known["known_by"].notna().all() else ""
    sentence = (
        f"{halfway} the languages {whose}({len(known)} of {len(summary)}) are {_amount(abs(excess))} {unit} "
        f"{'above' if excess >= 0 else 'below'} the better parent, on average"
    )
    if len(defined):
        highest = defined.iloc[defined["barrier"].argmax()]
        if not highest["barrier"] > 0:
            return f"{sentence}; there is no barrier in any of the {len(defined)} with one defined."
        return (
            f"{sentence}; the highest barrier is {_amount(highest['barrier'])} ({language_name(highest['language'])}, "
            f"of {len(defined)} with one defined)."
        )
    unsaid = summary.loc[summary["known_by"].isna(), "why_no_barrier"]
    why = "no language is known to both ends" if unsaid.empty else unsaid.iloc[0]
    return f"{sentence}; no barrier is defined, for {why}."


def _amount(bits: float) -> str:
    return plain(bits, 0 if abs(bits) >= 100 else 1 if abs(bits) >= 10 else 2)


def conflict_sentence(table: ConflictTable, measure: Measure) -> str:
    """What a measure's figure shows, in one sentence: every part of the model with its chance level."""
    frame = table.by("whole").groupby(["by", "group"], sort=False)[["value", "chance"]].mean().dropna()
    if frame.empty:
        return f"**{measure.label}** is undefined here: the models' tensors are all zero."
    groups, digits = frame.index.get_level_values("group"), max(3, _decimals(frame.abs().to_numpy().max()))
    *parts, (_, value, chance) = (
        (group, *(plain(x, min(digits, _decimals(x))) for x in row))
        for group, row in zip(groups, frame.to_numpy(), strict=True)
    )
    listed = ", ".join(f"{group} {own} (chance {null})" for group, own, null in parts)
    mean = "" if measure.of == "set" else f", mean over {measure.of}s"
    return f"**{measure.label} of the whole model: {value}, chance {chance}**{mean}; {listed}."


def _decimals(number: float) -> int:
    """As many decimals as show three digits."""
    return max(0, 2 - math.floor(math.log10(abs(number)))) if number else 0


def causal_sentence(table: CausalTable, unit: str) -> str:
    """What a causal map shows, in one sentence: the component that costs most, and the one that gains most."""
    frame = table.units[unit].dropna(subset=["bits"])
    cells, whole = frame[frame["component"] != WHOLE], frame[frame["component"] == WHOLE]
    if cells.empty:
        return f"There are no {unit} for this language."
    total = whole.loc[whole["map"] == TRANSPLANTED, "bits"].item()
    worst, best = (
        part.iloc[int(part["bits"].argmax())]
        for part in (cells[cells["map"] == kind] for kind in (TRANSPLANTED, RESTORED))
    )
    return (
        f"**The merge costs {language_name(table.trial.language)} {_amount(total)} {unit}.** Alone in the parent, "
        f"{worst['component']} costs most ({_amount(worst['bits'])}); given back to the merge, {best['component']} "
        f"gains most ({_amount(best['bits'])})."
    )


def prediction_sentence(found: Prediction) -> str:
    """What a prediction shows, in one sentence: what passes every test, and what comes nearest."""
    tried = found.frame[found.frame["why_not"] == ""]
    languages = f"One effect per language alone explains {100 * found.explained:.0f} % of the damage's variance."
    if tried.empty:
        return f"**None of these measures can be related to the damage.** {languages}"
    whole = tried[tried["passed"] == len(TESTS)]
    best = tried.iloc[0]
    carried = best["without_high"] if best["spearman"] < 0 else best["without_low"]
    left = "nothing to relate" if pd.isna(carried) else signed(carried, 2)
    said = (
        f"Spearman {signed(best['spearman'], 2)} (Holm p {best['p_holm']:.2g}), {left} without "
        f"{language_name(best['carried_by'])}"
    )
    beyond = "" if pd.isna(best["partial"]) else (
        f", {signed(best['partial'], 2)} beyond what languages explain (Holm p {best['partial_p_holm']:.2g})"
    )  # fmt: skip
    one = len(tried) == 1
    if whole.empty:
        none = "The one measure tried fails a test" if one else f"No measure of {len(tried)} tried passes every test"
        return (
            f"**{none}.** {best['label']} passes {best['passed']} of {len(TESTS)}{'' if one else ', no other more'}: "
            f"{said}{beyond}. {languages}"
        )
    if one:
        return f"**The one measure tried passes every test.** {best['label']}: {said}{beyond}. {languages}"
    counted = f"{len(whole)} of {len(tried)} measures tried pass{'es' if len(whole) == 1 else ''} every test"
    return f"**{counted}.** First comes {best['label']}: {said}{beyond}. {languages}"


def beside_paper(found: Prediction, paper: Prediction, names: Mapping[str, str]) -> pd.DataFrame:
    """Measures of a suite beside those of the paper that are the same, by the names given.

    `worse` columns are Spearman's correlations signed so that above zero means more damage where the measure is higher.
    """
    frames = []
    for one, key in ((found, list(names)), (paper, list(names.values()))):
        sign = 1 if one.table.better == "low" else -1
        frame = one.frame.set_index("measure")
        frames.append(frame.assign(worse=sign * frame["spearman"], left=sign * frame["partial"]).reindex(key))
    own, theirs = frames
    both = pd.DataFrame({"measure": own["label"].to_numpy()})
    for where, frame in (("here", own), ("paper", theirs)):
        for name, column in (
            ("worse with more", "worse"),
            ("Holm p", "p_holm"),
            ("beyond languages", "left"),
            ("its Holm p", "partial_p_holm"),
        ):
            both[f"{name}, {where}"] = frame[column].to_numpy(dtype=float)
    known = own["spearman"].notna().to_numpy() & theirs["spearman"].notna().to_numpy()
    return both[known].reset_index(drop=True)


def pairs_sentence(tables: Sequence[PathTable], unit: str) -> str:
    """What the paths between all pairs show, in one sentence: where a barrier is defined, and the highest."""
    summary = pd.concat([t.summary[unit].assign(pair=f"{t.walk.first} to {t.walk.second}") for t in tables])
    defined = summary[(summary["why_no_barrier"] == "") & summary["barrier"].notna()]
    known = summary[summary["known_by"] != ""]  # as on a single path
    whose = "the languages that an end knows" if known["known_by"].notna().all() else "they"
    sentence = (
        f"**{_counted(len(tables), 'pair')}, {_counted(summary['language'].nunique(), 'language')}.** Halfway, {whose} "
        f"are {_amount(known['middle_excess'].mean())} {unit} above the better end, on average"
        if known["middle_excess"].notna().any()
        else f"**{_counted(len(tables), 'pair')}.** No end knows one of these languages in this unit"
    )
    if defined.empty:
        unsaid = summary.loc[summary["known_by"].isna(), "why_no_barrier"]
        why = "no language is known to both ends of a pair" if unsaid.empty else unsaid.iloc[0]
        return f"{sentence}; no barrier is defined, for {why}."
    highest = defined.iloc[defined["barrier"].argmax()]
    return (
        f"{sentence}; a barrier is defined {len(defined)} times, the highest is {_amount(highest['barrier'])} "
        f"({language_name(highest['language'])}, {highest['pair']})."
    )


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def plane_sentence(table: PlaneTable, unit: str) -> str:
    """What a plane shows, in one sentence: its best point, its corners and its middle."""
    frame, corners = table.units[unit], table.corners[unit]
    best = frame.iloc[int(frame["value"].argmin())]
    shares = ", ".join(f"{best[c]:.2f}" for c in ("first", "second", "third"))
    middle = frame.iloc[int((frame[["first", "second", "third"]] - 1 / 3).pow(2).sum(axis=1).argmin())]
    ends = ", ".join(
        f"{model} {_amount(value)}" for model, value in zip(corners["model"], corners["value"], strict=True)
    )
    return (
        f"**{language_name(table.plane.language)} in {unit}**: {ends}; near the middle of the three "
        f"{_amount(middle['value'])}. The lowest point of the grid has {_amount(best['value'])}, at {shares} of them."
    )


def layers_sentence(table: LayerTable, language: str, weight: float) -> str:
    """What happens along the layers, in one sentence: the last layer's residual stream, and where units vary least."""
    frame = table.frame
    here = frame[np.isclose(frame["weight"], weight) & (frame["language"] == language)]
    last = here[here["site"] == RESIDUAL].sort_values("layer").iloc[-1]
    sentence = (
        f"**At {weight:g} of the way the last layer's activations have a cosine of {last['cosine']:.2f}** with the "
        f"mixture of the ends' (shuffled tokens: {last['cosine_chance']:.2f}) and {last['norm_ratio']:.2f} of its norm"
    )
    ratios = here.dropna(subset=["deviation_ratio"])
    if ratios.empty:
        return f"{sentence}."
    worst = ratios.iloc[int(ratios["deviation_ratio"].argmin())]
    return (
        f"{sentence}; units vary least in the {worst['site']} of layer {worst['layer']}, with "
        f"{worst['deviation_ratio']:.2f} of the ends' standard deviation (unrelated units: "
        f"{worst['deviation_unrelated']:.2f})."
    )
