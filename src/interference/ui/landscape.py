"""Further views of the Path page: every two of many checkpoints, the plane through three, along the layers."""

import streamlit as st

from interference.ui import state
from interference.ui.path import choose_walk
from interference.ui.running import run_steps
from interference.ui.shown import EXPORT, draw_download, fold_table
from interference.ui.sidebar import Bench
from interference.ui.widgets import choose_language, choose_listed, choose_number, choose_one, keep_valid

WALK, PAIRS, PLANE, LAYERS = "Walk", "All pairs", "Plane", "Along the layers"
VIEWS = (WALK, PAIRS, PLANE, LAYERS)
_EVERY = "Every number with where it comes from."
_MOST = 10  # checkpoints whose pairs are walked at once: 45 paths


def choose_path_view() -> str:
    """Which of the views is computed and drawn."""
    return choose_one(
        "View", VIEWS, key="path_view", label_visibility="collapsed",
        help="One path; the paths between every two of some checkpoints; the plane through three; or what happens to "
        "activations on the way.",
    )  # fmt: skip


def draw_path_view(bench: Bench, view: str) -> None:
    """One of the views besides the walk."""
    {PAIRS: _draw_pairs, PLANE: _draw_plane, LAYERS: _draw_layers}[view](bench)


def _default_models(bench: Bench, count: int) -> list[str]:
    """The parents of the present merge, else the monolingual checkpoints, else the first of a group."""
    from interference.conflict.survey import default_models

    present = state.present()
    names = present.view.recipe.models if present else ()
    known = [name for name in names if name in bench.suite.names]
    return (known if len(known) >= min(count, 3) else list(default_models(bench.suite)))[:count]


def _draw_pairs(bench: Bench) -> None:
    from interference.figures.landscape import pairs_figure
    from interference.figures.panels import panels_note
    from interference.path import pairs_notes
    from interference.sweep import pairs_steps
    from interference.views import pairs_sentence

    keep_valid("path_pairs", bench.suite.names)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        models = st.multiselect(
            "Checkpoints", bench.suite.names, _default_models(bench, 4), max_selections=_MOST, key="path_pairs",
            bind="query-params", width=520, help="Every two of them are the ends of a path.",
        )  # fmt: skip
        points = _points("pairs_points", 3, 21, 5)
    sentences = state.sentences()
    tables = run_steps(
        bench, "path",
        lambda found: pairs_steps(found, models, points, "linear", bench.languages, sentences),
        f"Walking all pairs, {sentences} sentences as on the Merge page",
    )  # fmt: skip
    import pandas as pd

    from interference.tables import with_provenance

    st.markdown(pairs_sentence(tables, bench.unit))
    own = {bench.suite[name].language for name in models}
    st.plotly_chart(
        pairs_figure(tables, bench.unit, own), config=EXPORT, key="pairs_figure",
        alt="Excess of every language along the paths between every two checkpoints",
    )  # fmt: skip
    st.caption(
        "Zero is as good as the pair's better end. Where an end knows the language what stands above zero is lost on "
        "the way; where neither does both are worse than untrained, and below zero nothing is gained."
        f"{panels_note(len(bench.languages))} {' '.join(pairs_notes(tables))}"
    )
    summary = pd.concat(
        [t.summary[bench.unit].assign(first=t.walk.first, second=t.walk.second) for t in tables], ignore_index=True
    )
    heads = ["first", "second", "language", "barrier", "middle_excess", "largest_excess", "why_no_barrier"]
    fold_table(summary, "pairs_table", column_order=heads)
    # The weights that a path's numbers come from are those of its own ends.
    paths = pd.concat([with_provenance(t.points[bench.unit], t.provenance) for t in tables])
    draw_download("Paths, CSV", paths, {}, "paths", _EVERY)


def _draw_plane(bench: Bench) -> None:
    from interference.figures.landscape import plane_figure
    from interference.plane import Plane, plane_steps
    from interference.views import plane_sentence

    defaults = _default_models(bench, 3)
    for name in bench.suite.names:  # a suite of two languages still has other checkpoints
        if len(defaults) < 3 and name not in defaults:
            defaults.append(name)
    chosen = []
    with st.container(horizontal=True, vertical_alignment="bottom"):
        for number, label in enumerate(("First", "Second", "Third")):
            default = defaults[number] if number < len(defaults) else None
            chosen.append(
                choose_listed(
                    label, bench.suite.names, default=default, key=f"plane_{label.lower()}", width=180,
                    help="A checkpoint that the plane goes through.",
                )
            )  # fmt: skip
        language = choose_language(
            bench.languages, key="plane_language", width=180, help="The language whose loss is drawn."
        )
        points = _points("plane_points", 3, 41, 7, 1)
    plane = Plane((chosen[0], chosen[1], chosen[2]), language, points)
    sentences = min(state.sentences(), 50)
    table = run_steps(bench, "path", lambda found: plane_steps(found, plane, sentences), "Scoring the plane")
    unit = bench.unit if bench.unit in table.units else "bits per sentence"
    frame, corners = table.units[unit], table.corners[unit]
    st.markdown(plane_sentence(table, unit))
    st.plotly_chart(
        plane_figure(frame, corners, table.untrained[unit], unit), config=EXPORT, key="plane_figure", width=760,
        alt=f"Loss of {language} on the plane through {', '.join(chosen)}",
    )  # fmt: skip
    level = table.untrained[unit]
    known = f" The untrained model stands at {level:.3g}." if level == level else ""
    limit = "one and a half times that" if known else "the worst of the three"
    st.caption(
        f"Dark is bad.{known} What is worse than {limit} is drawn in one colour; the numbers under the pointer are "
        f"exact. Inside the dotted triangle all weights are positive. {' '.join(table.notes)}"
    )
    fold_table(frame, "plane_table")
    draw_download("Plane, CSV", frame, table.provenance, "plane", _EVERY, key="path_plane_csv", unit=unit)


def _draw_layers(bench: Bench) -> None:
    from interference.figures.landscape import LINEARITY, linearity_figure
    from interference.linearity import layer_steps
    from interference.views import layers_sentence

    walk = choose_walk(bench)
    inner = [weight for weight in walk.weights if 0 < weight < 1]
    keep_valid("layers_at", inner, default=inner[len(inner) // 2])
    with st.container(horizontal=True, vertical_alignment="bottom"):
        measure = choose_one(
            "Measure", list(LINEARITY), key="layers_measure",
            help="Whether activations mix as the weights do, in direction and in length, and whether units still vary "
            "from token to token.",
        )  # fmt: skip
        language = choose_language(
            bench.languages, key="layers_language", width=180,
            help="The text that is read; the other languages are drawn behind it.",
        )  # fmt: skip
        weight = st.select_slider(
            "Place on the path", inner, inner[len(inner) // 2], key="layers_at", bind="query-params", width=220,
            help=f"How much of {walk.second} the merge has.",
        )  # fmt: skip
    table = run_steps(bench, "path", lambda found: layer_steps(found, walk, bench.languages), "Reading activations")
    st.markdown(layers_sentence(table, language, weight))
    st.plotly_chart(
        linearity_figure(table.frame, measure, language, weight), config=EXPORT, key="layers_figure",
        alt=f"{measure} over depth at {weight:g} of the path",
    )  # fmt: skip
    st.caption(
        "The green line at 1 is a merge whose activations are the mixture of its ends'. Units that vary "
        f"less have collapsed; grey lines are the other languages. {' '.join(table.notes)}"
    )
    fold_table(table.frame, "layers_table")
    draw_download("Layers, CSV", table.frame, table.provenance, "layers", _EVERY)


def _points(key: str, low: int, high: int, default: int, step: int = 2) -> int:
    help = "Models scored along each side, both ends included."
    return choose_number("Points", low, high, default, step, key=key, width=130, help=help)
