"""What every view of a comparison shows: the headline, the sentence, the figure and what stands below it."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import streamlit as st

from interference.ui.running import run_steps
from interference.ui.shown import EXPORT, draw_download, fold_table
from interference.ui.sidebar import Bench
from interference.ui.similarity.choose import States

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go
    from streamlit.delta_generator import DeltaGenerator

    from interference.similarity import Measure
    from interference.similarity.table import SimilarityTable
    from interference.similarity_request import SimilarityRequest

_READINGS = {
    "high": "1 is the same up to what the measure leaves out; at the chance level nothing is shared.",
    "zero": "Near 1 the models are alike after a rotation and not as they are; near 0 a rotation changes nothing.",
}
_STARRED = ("Models", "Layers", "Languages")  # views whose cells hold numbers
Kinds = Callable[["pd.DataFrame"], "pd.DataFrame"]


def compute(bench: Bench, asked: "SimilarityRequest") -> "SimilarityTable":
    """The table of a request."""
    return compute_tables(bench, asked)[0]


def compute_tables(bench: Bench, *asked: "SimilarityRequest") -> "tuple[SimilarityTable, ...]":
    """The tables of several requests."""
    from interference.similarities import tables_steps

    return run_steps(bench, "similarity", lambda found: tables_steps(found, *asked), "Comparing states")


def headline_place(long: bool = False) -> "DeltaGenerator":
    """Room for the headline, which comes last, so that nothing moves when it does: `long` where it names many kinds."""
    return st.container(key="headline_long" if long else "headline").empty()


def draw_headline(bench: Bench, place: "DeltaGenerator", kinds: Kinds, *asked: "SimilarityRequest") -> None:
    """Which kinds of pairs are alike up to a rotation and not aligned: computed after all else is drawn."""
    from interference.similarities import tables_steps
    from interference.similarity.table import joined
    from interference.similarity_request import gaps_of
    from interference.views_similarity import gap_sentence

    gaps = [gaps_of(one) for one in asked]
    tables = run_steps(bench, "similarity", lambda found: tables_steps(found, *gaps), "Rotation gap", place)
    place.markdown(gap_sentence(kinds(joined(tables).frame), "kind"))


def applies(table: "SimilarityTable") -> bool:
    """Whether any pair can be compared by the measure; says why not where none can."""
    if (table.frame["why_not"] == "").any():
        return True
    st.info(table.frame["why_not"].iloc[0] + ".", icon=":material/block:")
    return False


def draw_figure(figure: "go.Figure", states: States, alt: str) -> None:
    """The one figure of a view."""
    st.plotly_chart(figure, config=EXPORT, key=f"similarity_figure {states.view}", alt=alt)


def draw_below(
    table: "SimilarityTable", measure: "Measure", states: States, how: str, *others: "SimilarityTable"
) -> None:
    """How to read the figure, what not to trust, the numbers with those of other tables, and what can be taken away."""
    draw_reading(table, measure, states, how)
    draw_numbers(table, *others)


def draw_reading(table: "SimilarityTable", measure: "Measure", states: States, how: str) -> None:
    """How to read the figure, and what not to trust."""
    blank = table.frame["why_not"]
    empty = blank[blank != ""]
    left = f"{len(empty)} cells are empty: {empty.iloc[0]}." if 0 < len(empty) < len(blank) else ""
    star = "A star: the interval holds the chance level." if states.view in _STARRED else ""
    parts = (measure.caption, _READINGS[measure.best], how, star, left, *table.notes)
    st.caption(" ".join(part for part in parts if part))
    for warning in table.warnings():
        st.warning(warning, icon=":material/warning:")


def draw_numbers(table: "SimilarityTable", *others: "SimilarityTable") -> None:
    """The numbers, with those of other tables, and their download."""
    from interference.similarity.table import joined

    frame = joined([table, *others]).frame
    fold_table(frame, "similarity_table")
    draw_download(
        "Similarities, CSV",
        frame,
        table.provenance,
        "similarity",
        "Every pair with its interval, chance level, n and d.",
    )
