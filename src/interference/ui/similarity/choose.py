"""What is compared, by which measure, and how states are prepared for it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import streamlit as st

from interference.groups import depth_of
from interference.ui.live import Group, grouped_choice
from interference.ui.sidebar import Bench
from interference.ui.widgets import (
    choose_checkpoints,
    choose_language,
    choose_listed,
    choose_number,
    choose_one,
    keep_valid,
)

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

    from interference.comparable import Named
    from interference.similarity import Measure
    from interference.similarity.table import Preparation
    from interference.similarity_request import SimilarityRequest

VIEWS = {
    "Models": "every model with every other at one layer",
    "Conditions": "the same map on own languages, on one language, and on numerals",
    "Depth": "every pair along the layers",
    "Layers": "every layer of one model with every layer of another",
    "Languages": "the languages inside one checkpoint",
    "Merge": "the merge of the Merge page with each of its parents",
    "Sentences": "parallel sentences in a plane, and their neighbours",
}
_GROUPS = {
    "sentences": "Any two models: the same up to a rotation, or fitted",
    "basis": "In a shared basis only",
    "vocabulary": "With one vocabulary only",
}


@dataclass(frozen=True)
class States:
    """The view, how states are prepared for it, on how many sentences, and where the measure is chosen: after what it
    compares, which says whether it applies."""

    view: str
    preparation: "Preparation"
    pooling: str
    sentences: int
    place: "DeltaGenerator"


def choose_similarity(bench: Bench) -> States:
    """The view, how states are prepared, and on how many sentences."""
    view = choose_one(
        "Show", list(VIEWS), key="similarity_view",
        label_visibility="collapsed", help="\n".join(f"- **{name}**: {text}" for name, text in VIEWS.items()),
    )  # fmt: skip
    with st.container(horizontal=True, vertical_alignment="bottom"):
        place = st.container(width="content", key="similarity_measure")
        return _choose_states(bench, view, place)


def _choose_states(bench: Bench, view: str, place: "DeltaGenerator") -> States:
    from interference.activations import POOLINGS
    from interference.similarity import FEWEST
    from interference.similarity.table import Preparation
    from interference.similarity_request import SENTENCES

    limit = len(bench.corpus.rows(None))
    scaled = choose_one(
        "States", ["z-scored", "raw"], key="similarity_scaling",
        help="z-scored: every dimension counts alike. Raw: the largest decide.",
    )  # fmt: skip
    sentences = choose_number(
        "Sentences", FEWEST, limit, min(SENTENCES, limit), key="similarity_sentences", width=120,
        help="Of the test half, evenly spread over its documents.",
    )  # fmt: skip
    with st.popover("Preparation", width=140, help="How states are pooled and what is taken out of them."):
        pooling = choose_listed(
            "Pooling", list(POOLINGS), format_func=lambda p: f"{p}: {POOLINGS[p]}", key="similarity_pooling",
            help="How the states of a sentence's tokens become one; the prefix is left out.",
        )  # fmt: skip
        centred = st.toggle(
            "Centred per model, language and layer", True, key="similarity_centred", bind="query-params",
            disabled=scaled == "z-scored", help="Matters to cosine, retrieval, MEXA, neighbours and the plane.",
        )  # fmt: skip
        length = st.toggle(
            "Without sentence length", key="similarity_length", bind="query-params",
            help="Regress the logarithm of the number of tokens out: long sentences are long in all languages.",
        )  # fmt: skip
        massive = st.toggle(
            "Without massive dimensions", key="similarity_massive", bind="query-params",
            help="Set dimensions to zero whose size is more than six times that of the median one.",
        )  # fmt: skip
    return States(view, Preparation(scaled == "z-scored", centred, length, massive), pooling, sentences, place)


def choose_measure(
    bench: Bench, states: States, pairs: "Iterable[tuple[Named, Named]]", disabled: bool = False
) -> "Measure":
    """The measure; those that none of the pairs of models can be compared by are greyed out, with the reason below."""
    from interference.comparable import why_nowhere
    from interference.similarity import DEFAULT, NEEDS, measures

    known, pairs = measures(), list(pairs)
    whys = {needs: why_nowhere(bench.suite, needs, pairs) for needs in NEEDS}
    groups = {needs: [m for m in known.values() if m.needs == needs] for needs in NEEDS}
    with states.place:
        name = grouped_choice(
            "Measure",
            [
                Group(_GROUPS[needs], {m.name: m.label for m in group}, bool(whys[needs]))
                for needs, group in groups.items()
            ],
            DEFAULT,
            key="similarity",
            help="\n".join(f"{m.label}: {m.caption} Needs {NEEDS[m.needs]}." for m in known.values()),
            disabled=disabled,
        )
    for needs, why in whys.items():
        if why and needs != known[name].needs:  # else it is said where the figure would stand
            st.caption(f":material/block: Greyed out: {', '.join(m.label for m in groups[needs])}, for {why}.")
    return known[name]


def request_of(models: "tuple[Named, ...]", measure: "Measure", states: States, **more: Any) -> "SimilarityRequest":
    """The request for one measure of these models, on states prepared as chosen."""
    from interference.similarity_request import SimilarityRequest

    return SimilarityRequest(
        models, (measure.name,), sentences=states.sentences, pooling=states.pooling, preparation=states.preparation,
        **more,
    )  # fmt: skip


def choose_models(bench: Bench) -> "tuple[Named, ...]":
    """The models of which every two are compared."""
    from interference.similarity_request import default_models, default_notes

    chosen = choose_checkpoints(
        bench.suite.names, default := default_models(bench.suite), "similarity_models",
        "Every pair of these is compared; at first monos, mixed and branches.",
    )  # fmt: skip
    if tuple(chosen) == default and (said := default_notes(bench.suite)):
        st.caption(" ".join(said), width="content")
    return tuple((name, name) for name in chosen)


def choose_condition(bench: Bench) -> tuple[str, tuple[str, ...]]:
    """The condition, and the language that all read in `pivot`."""
    from interference.similarity_request import CONDITIONS

    options = ["own", "pivot", "numerals"]
    labels = {"own": "own languages", "pivot": "one language", "numerals": "numerals"}
    keep_valid("similarity_condition", options, codes=str)
    spoken = any(c.language for c in bench.suite.checkpoints)
    condition = choose_one(
        "Text", options, default="own" if spoken else "pivot", key="similarity_condition",
        format_func=lambda option: labels.get(option, option),
        help="\n".join(f"- {CONDITIONS[c]}" for c in options),
    )  # fmt: skip
    if condition != "pivot":
        return condition, ()
    return condition, (choose_pivot(bench),)


def choose_pivot(bench: Bench) -> str:
    """The language that all models read."""
    from interference.similarity_request import pivot_of

    default = pivot_of(bench.languages)
    return choose_language(
        bench.languages, default=default, key="similarity_pivot", width=190, help="What all models read."
    )


def choose_layer(bench: Bench, name: str) -> int:
    """A layer of a model, at first the one in the middle."""
    depth = depth_of(bench.suite[name].shapes)
    return choose_number(
        "Layer", 0, depth, (depth + 1) // 2, key="similarity_layer", width=110,
        help=f"0 is the embeddings, {depth} the last, after the final norm.",
    )  # fmt: skip


def choose_model(bench: Bench, label: str, key: str, default: str) -> str:
    """One checkpoint of the suite."""
    return choose_listed(
        label, bench.suite.names, default=default, key=key, width=190, help="A checkpoint of the suite."
    )
