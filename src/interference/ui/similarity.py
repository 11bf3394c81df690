"""Widgets of the Similarity page."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import streamlit as st

from interference.languages import language_name
from interference.ui import state
from interference.ui.shell import EXPORT, Bench, run_steps
from interference.ui.widgets import keep_valid, keep_within

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

    from interference.scored import Model
    from interference.similarities import SimilarityRequest
    from interference.similarity import Measure
    from interference.similarity.table import Preparation, SimilarityTable

VIEWS = {
    "Models": "every model with every other at one layer",
    "Conditions": "the same map on own languages, on one language, and on numerals",
    "Depth": "every pair along the layers",
    "Layers": "every layer of one model with every layer of another",
    "Languages": "the languages inside one checkpoint",
    "Merge": "the merge of the Merge page with each of its parents",
    "Sentences": "parallel sentences in a plane, and their neighbours",
}
READINGS = {
    "high": "1 is the same up to what the measure leaves out; at the chance level nothing is shared.",
    "zero": "Near 1 the models are alike after a rotation and not as they are; near 0 a rotation changes nothing.",
}
_POINTS = 24  # sentences of a plane at first
_NEIGHBOURS = 10


@dataclass(frozen=True)
class Settings:
    """What is measured, and how states are prepared for it."""

    view: str
    measure: "Measure"
    preparation: "Preparation"
    pooling: str
    sentences: int


def choose_similarity(bench: Bench) -> Settings:
    """The view, the measure, how states are prepared, and on how many sentences."""
    from interference.activations import POOLINGS
    from interference.similarities import SENTENCES
    from interference.similarity import DEFAULT, FEWEST, NEEDS, measures
    from interference.similarity.table import Preparation

    known = measures()
    view = st.segmented_control(
        "Show", list(VIEWS), default="Models", required=True, key="similarity_view", bind="query-params",
        label_visibility="collapsed", help="\n".join(f"- **{name}**: {text}" for name, text in VIEWS.items()),
    )  # fmt: skip
    keep_valid("similarity", known, codes=str)
    limit = len(bench.corpus.rows(None))
    keep_within("similarity_sentences", FEWEST, limit)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.selectbox(
            "Measure", list(known), list(known).index(DEFAULT), key="similarity", bind="query-params", width=280,
            format_func=lambda n: known[n].label + (" · shared basis only" if known[n].needs == "basis" else ""),
            disabled=view == "Sentences",
            help="\n".join(f"- **{m.label}**: {m.caption} Needs {NEEDS[m.needs]}." for m in known.values()),
        )  # fmt: skip
        scaled = st.segmented_control(
            "States", ["z-scored", "raw"], default="z-scored", required=True, key="similarity_scaling",
            bind="query-params", help="z-scored: every dimension counts alike. Raw: the largest decide.",
        )  # fmt: skip
        sentences = st.number_input(
            "Sentences", FEWEST, limit, min(SENTENCES, limit), key="similarity_sentences", bind="query-params",
            width=120, help="Of the test half, evenly spread over its documents.",
        )  # fmt: skip
        with st.popover("Preparation", width=140, help="How states are pooled and what is taken out of them."):
            pooling = st.selectbox(
                "Pooling", list(POOLINGS), format_func=lambda p: f"{p}: {POOLINGS[p]}", key="similarity_pooling",
                bind="query-params", help="How the states of a sentence's tokens become one; the prefix is left out.",
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
    preparation = Preparation(scaled == "z-scored", centred, length, massive)
    return Settings(view, known[name], preparation, pooling, int(sentences))


def draw_similarity(bench: Bench, settings: Settings) -> None:
    """The chosen view, which alone is computed."""
    _DRAW[settings.view](bench, settings)


def _request(models: "tuple[tuple[str, Model], ...]", settings: Settings, **more: Any) -> "SimilarityRequest":
    from interference.similarities import SimilarityRequest

    return SimilarityRequest(
        models, (settings.measure.name,), sentences=settings.sentences, pooling=settings.pooling,
        preparation=settings.preparation, **more,
    )  # fmt: skip


def _compute(bench: Bench, asked: "SimilarityRequest") -> "SimilarityTable":
    from interference.similarities import similarity_steps

    return run_steps(bench, "similarity", lambda found: similarity_steps(found, asked), "Comparing states")


def _choose_models(bench: Bench) -> "tuple[tuple[str, str], ...]":
    from interference.similarities import default_models

    default = default_models(bench.suite)
    keep_valid("similarity_models", bench.suite.names)
    with st.popover(
        f"Models ({len(st.session_state.get('similarity_models', default))})",
        width=130,
        help="Which models are compared.",
    ):
        chosen = st.multiselect(
            "Models", bench.suite.names, list(default), key="similarity_models", bind="query-params",
            help="Every pair of these is compared; at first monos, mixed and branches.",
        )  # fmt: skip
    return tuple((name, name) for name in chosen)


def _choose_condition(bench: Bench) -> "tuple[str, tuple[str, ...]]":
    """The condition, and the language that all read in `pivot`."""
    from interference.similarities import CONDITIONS, pivot_of

    options = ["own", "pivot", "numerals"]
    labels = {"own": "own languages", "pivot": "one language", "numerals": "numerals"}
    condition = st.segmented_control(
        "Text", options, default="own", required=True, key="similarity_condition", bind="query-params",
        format_func=lambda option: labels.get(option, option),
        help="\n".join(f"- {CONDITIONS[c]}" for c in options),
    )  # fmt: skip
    if condition != "pivot":
        return condition, ()
    return condition, (_choose_language(bench, "similarity_pivot", pivot_of(bench.languages)),)


def _choose_language(bench: Bench, key: str, default: str) -> str:
    keep_valid(key, bench.languages, codes=str)
    return st.selectbox(
        "Language", bench.languages, bench.languages.index(default), format_func=language_name, key=key,
        bind="query-params", width=190, help="What all models read.",
    )  # fmt: skip


def _choose_layer(bench: Bench, name: str) -> int:
    """A layer of a model, at first the one in the middle."""
    from interference.groups import depth_of

    depth = depth_of(bench.suite[name].shapes)
    keep_within("similarity_layer", 0, depth)
    return int(
        st.number_input(
            "Layer", 0, depth, (depth + 1) // 2, key="similarity_layer", bind="query-params", width=110,
            help=f"0 is the embeddings, {depth} the last, after the final norm.",
        )
    )  # fmt: skip


def _choose_model(bench: Bench, label: str, key: str, default: str) -> str:
    keep_valid(key, bench.suite.names)
    return st.selectbox(
        label, bench.suite.names, bench.suite.names.index(default), key=key, bind="query-params", width=190,
        help="A checkpoint of the suite.",
    )  # fmt: skip


def _draw_models(bench: Bench, settings: Settings) -> None:
    from interference.figures.similarity import map_figure
    from interference.views_similarity import similarity_sentence, square, with_kinds

    with st.container(horizontal=True, vertical_alignment="bottom"):
        models = _choose_models(bench)
        condition, languages = _choose_condition(bench)
        layer = _choose_layer(bench, models[0][0] if models else bench.suite.names[0])
    table = _compute(bench, _request(models, settings, condition=condition, languages=languages, layers=(layer,)))
    st.markdown(similarity_sentence(with_kinds(table.frame, bench.suite.roles), settings.measure, "kind"))
    if _applies(table):
        figure = map_figure(
            square(table.frame, "model"), settings.measure.label, settings.measure.best, "model", "model"
        )
        _draw(figure, settings, f"{settings.measure.label} of every two models at layer {layer}")
    _below(table, settings, "Models that are alike stand beside each other (average linkage).")


def _draw_conditions(bench: Bench, settings: Settings) -> None:
    from interference.figures.similarity import map_figure
    from interference.similarities import conditions_steps, pivot_of
    from interference.similarity.table import joined
    from interference.views_similarity import similarity_sentence, square

    with st.container(horizontal=True, vertical_alignment="bottom"):
        models = _choose_models(bench)
        language = _choose_language(bench, "similarity_pivot", pivot_of(bench.languages))
        layer = _choose_layer(bench, models[0][0] if models else bench.suite.names[0])
    asked = _request(models, settings, languages=(language,), layers=(layer,))
    tables = run_steps(bench, "similarity", lambda found: conditions_steps(found, asked), "Comparing states")
    table = joined(list(tables.values()))
    titles = {"own": "own languages", "pivot": f"all on {language_name(language)}", "numerals": "all on numerals"}
    named = table.frame.assign(kind=table.frame["condition"].map(titles))
    st.markdown(similarity_sentence(named, settings.measure, "kind"))
    if _applies(table):
        order = list(square(tables["own"].frame, "model").value.index)
        order += [name for name, _ in models if name not in order]
        measure = settings.measure
        with st.container(horizontal=True, horizontal_alignment="distribute"):
            for condition, one in tables.items():
                grid = square(one.frame, "model", order)
                figure = map_figure(grid, measure.label, measure.best, "", "", titles[condition])
                st.plotly_chart(
                    figure, width=340, config=EXPORT, key=f"similarity_figure {condition}",
                    alt=f"{measure.label} of every two models at layer {layer}, {titles[condition]}",
                )  # fmt: skip
    _below(table, settings, "One order, that of the first map, and one scale.")


def _draw_depth(bench: Bench, settings: Settings) -> None:
    from interference.figures.similarity import depth_figure
    from interference.views_similarity import similarity_sentence, with_kinds

    with st.container(horizontal=True, vertical_alignment="bottom"):
        models = _choose_models(bench)
        condition, languages = _choose_condition(bench)
    table = _compute(bench, _request(models, settings, condition=condition, languages=languages))
    frame = with_kinds(table.frame, bench.suite.roles)
    st.markdown(similarity_sentence(frame, settings.measure, "kind"))
    if _applies(table):
        figure = depth_figure(frame[frame["why_not"] == ""], settings.measure.label, "kind")
        _draw(figure, settings, f"{settings.measure.label} of pairs of models along the layers")
    _below(table, settings, "Thin lines are pairs, thick ones the means of their kind by role.")


def _draw_layers(bench: Bench, settings: Settings) -> None:
    from interference.figures.similarity import map_figure
    from interference.similarities import default_models
    from interference.views_similarity import layers_map, similarity_sentence

    known = [*default_models(bench.suite), *bench.suite.names]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        first = _choose_model(bench, "Down", "similarity_first", known[0])
        second = _choose_model(bench, "Across", "similarity_second", known[min(1, len(known) - 1)])
        condition, languages = _choose_condition(bench)
    names = tuple(dict.fromkeys((first, second)))
    if len(names) == 1 and condition == "own":
        condition, languages = "pivot", tuple(filter(None, [bench.suite[first].language]))
    models = tuple((name, name) for name in names)
    table = _compute(bench, _request(models, settings, condition=condition, languages=languages, across=True))
    frame = table.frame.assign(
        kind=["the same layer" if a == b else "different layers"
              for a, b in zip(table.frame["layer_a"], table.frame["layer_b"], strict=True)]
    )  # fmt: skip
    st.markdown(similarity_sentence(frame, settings.measure, "kind"))
    if _applies(table):
        figure = map_figure(
            layers_map(table.frame), settings.measure.label, settings.measure.best, f"layer of {second}",
            f"layer of {first}",
        )  # fmt: skip
        _draw(figure, settings, f"{settings.measure.label} of every layer of {first} with every layer of {second}")
    _below(table, settings, "Layer 0 is the embeddings; the last is after the final norm.")


def _draw_languages(bench: Bench, settings: Settings) -> None:
    from interference.figures.similarity import map_figure
    from interference.similarities import multilingual
    from interference.views_similarity import similarity_sentence, square

    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = _choose_model(bench, "Checkpoint", "similarity_one", multilingual(bench.suite))
        layer = _choose_layer(bench, name)
    asked = _request(
        ((name, name),), settings, condition="languages", languages=bench.languages, layers=(layer,)
    )  # fmt: skip
    table = _compute(bench, asked)
    st.markdown(similarity_sentence(table.frame.assign(kind="every two languages"), settings.measure, "kind"))
    if _applies(table):
        grid = square(table.frame, "language")
        figure = map_figure(grid, settings.measure.label, settings.measure.best, "language", "language")
        _draw(figure, settings, f"{settings.measure.label} of every two languages inside {name} at layer {layer}")
    _below(table, settings, "One checkpoint has one basis, so every measure applies.")


def _draw_merge(bench: Bench, settings: Settings) -> None:
    from interference.figures.similarity import depth_figure
    from interference.generate import equal_merge
    from interference.views_similarity import gap_sentence, similarity_sentence

    merge = state.present_recipe(bench.suite) or equal_merge(bench.suite)
    if merge is None:
        st.info("There is nothing to merge in this suite: it takes two checkpoints that fit together.")
        st.stop()
    models: tuple[tuple[str, Model], ...] = (
        ("merge", merge),
        *((name, name) for name in merge.models if name != "merge"),
    )
    asked = _request(models, settings, against=("merge",))
    if all(bench.suite[name].language is None for name in merge.models):
        asked = replace(asked, condition="pivot")
    table = _compute(bench, asked)
    gaps = _compute(bench, replace(asked, measures=("rotation_gap",), intervals=False))
    own = table.frame.assign(kind=table.frame["model_b"])
    st.markdown(similarity_sentence(own, settings.measure, "kind"))
    st.markdown(gap_sentence(gaps))
    if _applies(table):
        figure = depth_figure(own[own["why_not"] == ""], settings.measure.label, "kind")
        _draw(figure, settings, f"{settings.measure.label} of the merge with each parent along the layers")
    _below(
        table, settings, f"The merge is {merge.label()} of {', '.join(merge.models)}; both read the parent's language.",
        gaps,
    )  # fmt: skip


def _draw_sentences(bench: Bench, settings: Settings) -> None:
    from interference.figures.similarity import projection_figure
    from interference.projection import PLANES, Spot, projection_steps
    from interference.similarities import multilingual

    limit = min(100, settings.sentences)
    keep_within("plane_sentences", 3, limit)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = _choose_model(bench, "Checkpoint", "similarity_one", multilingual(bench.suite))
        layer = _choose_layer(bench, name)
        plane = st.segmented_control(
            "Plane", list(PLANES), default="PCA", required=True, key="plane", bind="query-params",
            help="\n".join(f"- {key}: {text}" for key, text in PLANES.items()),
        )  # fmt: skip
        count = st.number_input(
            "Sentences drawn", 3, limit, min(_POINTS, limit), key="plane_sentences", bind="query-params",
            width=140, help="In every language.",
        )  # fmt: skip
    spot = Spot(
        name, name, layer, bench.languages, settings.sentences, int(count), settings.pooling, settings.preparation
    )  # fmt: skip
    found = run_steps(bench, "similarity", lambda e: projection_steps(e, spot, plane), "Reading states")
    st.markdown(
        f"**{name} at layer {layer}**: {count} sentences in {len(bench.languages)} languages; a grey line joins the "
        "translations of each. Short lines: the sentence's meaning decides where it is. Click a sentence to see its "
        "neighbours."
    )
    event = st.plotly_chart(
        projection_figure(found.frame, found.shares, plane), config=EXPORT | {"scrollZoom": True}, key="plane_figure",
        on_select="rerun", selection_mode="points",
        alt=f"{plane} of parallel sentences in the states of {name} at layer {layer}",
    )  # fmt: skip
    st.caption(f"{PLANES[plane].capitalize()}. {' '.join(found.notes)}")
    _draw_neighbours(bench, spot, found.frame, event)
    frame, provenance = found.frame, found.provenance
    st.download_button(
        "Plane, CSV", lambda: frame.assign(**provenance).to_csv(index=False), "plane.csv", "text/csv",
        on_click="ignore", icon=":material/download:", key="plane_csv", help="Every point with its sentence.",
    )  # fmt: skip


def _draw_neighbours(bench: Bench, spot: Any, drawn: "pd.DataFrame", event: Any) -> None:
    """The neighbours of the sentence that was clicked, else of the first one."""
    from interference.projection import neighbour_steps
    from interference.views_similarity import neighbours_sentence

    points = [p for p in event.selection.points if "customdata" in p] if event else []
    row, language = points[0]["customdata"][:2] if points else (drawn["row"].iloc[0], drawn["language"].iloc[0])
    near = run_steps(
        bench, "neighbours", lambda e: neighbour_steps(e, spot, language, int(row)), "Reading states"
    )  # fmt: skip
    st.markdown(f"Nearest to **{bench.corpus.text(language, [int(row)])[0]}** ({language_name(language)}, row {row}):")
    st.dataframe(near.head(_NEIGHBOURS), hide_index=True, placeholder="", key="neighbours", height="content")
    st.caption(neighbours_sentence(near))


def _applies(table: "SimilarityTable") -> bool:
    """Whether any pair can be compared by the measure; says why not where none can."""
    if (table.frame["why_not"] == "").any():
        return True
    st.info(table.frame["why_not"].iloc[0] + ".", icon=":material/block:")
    return False


def _draw(figure: "go.Figure", settings: Settings, alt: str) -> None:
    st.plotly_chart(figure, config=EXPORT, key=f"similarity_figure {settings.view}", alt=alt)


def _below(table: "SimilarityTable", settings: Settings, how: str, *others: "SimilarityTable") -> None:
    """How to read the figure, what not to trust, the numbers with those of other tables, and what can be taken away."""
    from interference.similarity.table import joined

    frame = joined([table, *others]).frame
    blank = table.frame["why_not"]
    left = f"{(blank != '').sum()} cells are empty: {blank[blank != ''].iloc[0]}." if (blank != "").any() else ""
    star = "A star: the interval holds the chance level." if settings.view in ("Models", "Layers", "Languages") else ""
    measure = settings.measure
    parts = (measure.caption, READINGS[measure.best], how, star, left, *table.notes)
    st.caption(" ".join(part for part in parts if part))
    for warning in table.warnings():
        st.warning(warning, icon=":material/warning:")
    with st.expander("Table"):
        st.dataframe(frame, hide_index=True, placeholder="", key="similarity_table")
    st.download_button(
        "Similarities, CSV", lambda: frame.assign(**table.provenance).to_csv(index=False), "similarity.csv",
        "text/csv", on_click="ignore", icon=":material/download:", key="similarity_csv",
        help="Every pair with its interval, chance level, n and d.",
    )  # fmt: skip


_DRAW = {
    "Models": _draw_models,
    "Conditions": _draw_conditions,
    "Depth": _draw_depth,
    "Layers": _draw_layers,
    "Languages": _draw_languages,
    "Merge": _draw_merge,
    "Sentences": _draw_sentences,
}
