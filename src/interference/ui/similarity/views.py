"""Views of checkpoints: every two of them, along the layers, layer by layer, and the languages inside one."""

from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING

import streamlit as st

from interference.languages import language_name
from interference.ui.shown import EXPORT
from interference.ui.sidebar import Bench
from interference.ui.similarity.choose import (
    States,
    choose_condition,
    choose_layer,
    choose_measure,
    choose_model,
    choose_models,
    choose_pivot,
    request_of,
)
from interference.ui.similarity.draw import (
    applies,
    compute,
    compute_tables,
    draw_below,
    draw_figure,
    draw_headline,
    headline_place,
)

if TYPE_CHECKING:
    import pandas as pd

    from interference.comparable import Named

_DIAGONAL = "The diagonal is blank: nothing is compared with itself."


def _depth_of(bench: Bench, models: "tuple[Named, ...]") -> str:
    """The model whose layers can be chosen."""
    return models[0][0] if models else bench.suite.names[0]


def draw_models(bench: Bench, states: States) -> None:
    """Models × models at one layer."""
    from interference.figures.similarity import map_figure
    from interference.views_similarity import similarity_sentence, square, with_kinds

    kinds = partial(with_kinds, roles=bench.suite.roles)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        models = choose_models(bench)
        condition, languages = choose_condition(bench)
        layer = choose_layer(bench, _depth_of(bench, models))
    measure = choose_measure(bench, states, combinations(models, 2))
    asked = request_of(models, measure, states, condition=condition, languages=languages, layers=(layer,))
    table, headline = compute(bench, asked), headline_place(long=True)
    st.markdown(similarity_sentence(kinds(table.frame), measure))
    if applies(table):
        figure = map_figure(square(table.frame, "model"), measure.label, measure.best, "model", "model")
        draw_figure(figure, states, f"{measure.label} of every two models at layer {layer}")
    draw_below(table, measure, states, "Models that are alike stand beside each other (average linkage). " + _DIAGONAL)
    draw_headline(bench, headline, kinds, asked)


def draw_conditions(bench: Bench, states: States) -> None:
    """Models × models on their own languages, on one, and on numerals."""
    from interference.figures.similarity import map_figure
    from interference.similarity.table import joined
    from interference.similarity_request import conditions_of
    from interference.views_similarity import similarity_sentence, square

    with st.container(horizontal=True, vertical_alignment="bottom"):
        models = choose_models(bench)
        language = choose_pivot(bench)
        layer = choose_layer(bench, _depth_of(bench, models))
    titles = {"own": "own languages", "pivot": f"all on {language_name(language)}", "numerals": "all on numerals"}

    def kinds(frame: "pd.DataFrame") -> "pd.DataFrame":
        return frame.assign(kind=frame["condition"].map(titles))

    measure = choose_measure(bench, states, combinations(models, 2))
    asked = conditions_of(request_of(models, measure, states, languages=(language,), layers=(layer,)))
    tables, headline = compute_tables(bench, *asked), headline_place(long=True)
    table = joined(tables)
    st.markdown(similarity_sentence(kinds(table.frame), measure))
    if applies(table):
        order = list(square(tables[0].frame, "model").value.index)
        order += [name for name, _ in models if name not in order]
        with st.container(horizontal=True, horizontal_alignment="distribute", key="small_maps similarity"):
            for one, title in zip(tables, titles.values(), strict=True):
                grid = square(one.frame, "model", order)
                figure = map_figure(grid, measure.label, measure.best, "", "", title)
                st.plotly_chart(
                    figure, width=340, config=EXPORT, key=f"similarity_figure {title}",
                    alt=f"{measure.label} of every two models at layer {layer}, {title}",
                )  # fmt: skip
    draw_below(table, measure, states, "One order, that of the first map, and one scale. " + _DIAGONAL)
    draw_headline(bench, headline, kinds, *asked)


def draw_depth(bench: Bench, states: States) -> None:
    """Every pair along the layers."""
    from interference.figures.similarity import depth_figure
    from interference.views_similarity import similarity_sentence, with_kinds

    kinds = partial(with_kinds, roles=bench.suite.roles)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        models = choose_models(bench)
        condition, languages = choose_condition(bench)
    measure = choose_measure(bench, states, combinations(models, 2))
    asked = request_of(models, measure, states, condition=condition, languages=languages)
    table, headline = compute(bench, asked), headline_place(long=True)
    frame = kinds(table.frame)
    st.markdown(similarity_sentence(frame, measure))
    if applies(table):
        figure = depth_figure(frame[frame["why_not"] == ""], measure.label)
        draw_figure(figure, states, f"{measure.label} of pairs of models along the layers")
    draw_below(table, measure, states, "Thin lines are pairs, thick ones the means of their kind by role.")
    draw_headline(bench, headline, kinds, asked)


def draw_layers(bench: Bench, states: States) -> None:
    """Every layer of one model with every layer of another."""
    from interference.figures.similarity import map_figure
    from interference.similarity_request import default_models
    from interference.views_similarity import layers_map, similarity_sentence, with_sameness

    known = [*default_models(bench.suite), *bench.suite.names]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        first = choose_model(bench, "Down", "similarity_first", known[0])
        second = choose_model(bench, "Across", "similarity_second", known[min(1, len(known) - 1)])
        condition, languages = choose_condition(bench)
    measure = choose_measure(bench, states, [((first, first), (second, second))])
    names = tuple(dict.fromkeys((first, second)))
    if len(names) == 1 and condition == "own":
        condition, languages = "pivot", tuple(filter(None, [bench.suite[first].language]))
    models = tuple((name, name) for name in names)
    asked = request_of(models, measure, states, condition=condition, languages=languages, across=True)
    table, headline = compute(bench, asked), headline_place()
    st.markdown(similarity_sentence(with_sameness(table.frame), measure))
    if applies(table):
        figure = map_figure(
            layers_map(table.frame), measure.label, measure.best, f"layer of {second}", f"layer of {first}"
        )  # fmt: skip
        draw_figure(figure, states, f"{measure.label} of every layer of {first} with every layer of {second}")
    draw_below(table, measure, states, "Layer 0 is the embeddings; the last is after the final norm.")
    draw_headline(bench, headline, with_sameness, asked)


def draw_languages(bench: Bench, states: States) -> None:
    """Languages × languages inside one checkpoint."""
    from interference.figures.similarity import map_figure
    from interference.similarity_request import multilingual
    from interference.views_similarity import similarity_sentence, square

    def kinds(frame: "pd.DataFrame") -> "pd.DataFrame":
        return frame.assign(kind="every two languages")

    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = choose_model(bench, "Checkpoint", "similarity_one", multilingual(bench.suite))
        layer = choose_layer(bench, name)
    measure = choose_measure(bench, states, [((name, name), (name, name))])
    asked = request_of(
        ((name, name),), measure, states, condition="languages", languages=bench.languages, layers=(layer,)
    )  # fmt: skip
    table, headline = compute(bench, asked), headline_place()
    st.markdown(similarity_sentence(kinds(table.frame), measure))
    if applies(table):
        grid = square(table.frame, "language")
        figure = map_figure(grid, measure.label, measure.best, "language", "language")
        draw_figure(figure, states, f"{measure.label} of every two languages inside {name} at layer {layer}")
    draw_below(table, measure, states, "One checkpoint has one basis, so every measure applies. " + _DIAGONAL)
    draw_headline(bench, headline, kinds, asked)
