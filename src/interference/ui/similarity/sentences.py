"""Parallel sentences in a plane of one checkpoint's states, and the neighbours of one of them."""

from typing import TYPE_CHECKING, Any

import streamlit as st

from interference.languages import language_name
from interference.ui.running import run_steps
from interference.ui.shown import EXPORT, draw_download, draw_table
from interference.ui.sidebar import Bench
from interference.ui.similarity.choose import States, choose_layer, choose_measure, choose_model
from interference.ui.widgets import choose_number, choose_one

if TYPE_CHECKING:
    import pandas as pd

_POINTS = 24  # sentences of a plane at first
_NEIGHBOURS = 10


def draw_sentences(bench: Bench, states: States) -> None:
    """Sentences in a plane, a line through the translations of each."""
    from interference.figures.similarity import projection_figure
    from interference.projection import PLANES, Spot, projection_steps
    from interference.similarity_request import multilingual

    limit = min(100, states.sentences)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = choose_model(bench, "Checkpoint", "similarity_one", multilingual(bench.suite))
        layer = choose_layer(bench, name)
        plane = choose_one(
            "Plane", list(PLANES), key="plane",
            help="\n".join(f"- {key}: {text}" for key, text in PLANES.items()),
        )  # fmt: skip
        count = choose_number(
            "Sentences drawn",
            3,
            limit,
            min(_POINTS, limit),
            key="plane_sentences",
            width=140,
            help="In every language.",
        )
    choose_measure(bench, states, [], disabled=True)
    spot = Spot(name, name, layer, bench.languages, states.sentences, count, states.pooling, states.preparation)
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
    draw_download("Plane, CSV", found.frame, found.provenance, "plane", "Every point with its sentence.")


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
    draw_table(near.head(_NEIGHBOURS), "neighbours", height="content")
    st.caption(neighbours_sentence(near))
