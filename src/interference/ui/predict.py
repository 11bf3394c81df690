"""Widgets of the Prediction page."""

import math
from typing import TYPE_CHECKING

import streamlit as st

from interference.groups import GROUPS, group_of
from interference.languages import language_name
from interference.signs import signed
from interference.steps import Steps
from interference.ui import state
from interference.ui.running import duration, run_steps
from interference.ui.shown import EXPORT, draw_download, draw_table
from interference.ui.sidebar import Bench
from interference.ui.widgets import choose_listed, choose_one, decimals, keep_valid

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from interference.evaluate import Evaluator
    from interference.pairs import Outlook, Pairing
    from interference.predict import PairTable, Prediction

PAPER = "The paper"
DATA = ("This suite", PAPER)
VALUES, BEYOND = "As measured", "Beyond languages"
ORDER = (
    "label", "passed", "spearman", "low", "high", "chance", "p", "p_holm", "without_low", "without_high", "carried_by",
    "by_languages", "partial", "partial_p_holm", "direction", "survives", "why_not",
)  # fmt: skip
# What the paper has measured too, by the names of the suite's measures.
COUNTERPARTS = {
    "cosine": "cos",
    "l2": "l2",
    "stable_rank": "mean_rank_diff",
    "cka_own": "cka_inlang",
    "cka_pivot": "cka_eng",
    "cka_numerals": "cka_num",
}
_GO, _OUTLOOK = "predict_go", "predict_outlook"
_READING = (
    "A measure that predicts lies outside the grey ticks, with all of its interval on one side of zero. Orange is what "
    "remains once every language has its own additive effect on both. Filled marks are beyond their own "
    "chance level; the ticks are the circles'."
)


def choose_prediction(bench: Bench) -> "Pairing | None":
    """The pairs and the measures; None for the paper's pairs, which are what they are."""
    from interference.pairs import ROLES, Pairing, predictors

    keep_valid("predict_measures", [p.name for p in predictors()], codes=list)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        data = choose_one(
            "Pairs of", DATA, key="predict_data",
            help="This suite, merged and measured here; or the 45 pairs published with arXiv:2605.25846.",
        )  # fmt: skip
        if data == PAPER:
            return None
        role = choose_one(
            "Models", ROLES, key="predict_role",
            help="Monolingual models, or branches of one parent: the control, whose merges work.",
        )  # fmt: skip
        known_parts = {group_of(name) for c in bench.suite.with_role(role) for name in c.shapes}
        parts = ["all", *(part for part in GROUPS if part in known_parts or not known_parts)]
        part = choose_listed(
            "Weights of", parts, key="predict_part", width=170,
            help="Which part of the model the measures of weights are about; 'all' is the whole model.",
        )  # fmt: skip
        known = {p.name: p for p in predictors()}
        with st.popover("Measures", width=130, help="Which measures are tried."):
            measures = st.multiselect(
                "Measures", list(known), placeholder="all", format_func=lambda n: known[n].label,
                key="predict_measures", bind="query-params",
                help="Fewer measures are corrected for fewer tries; choose before looking.",
            )  # fmt: skip
    return Pairing(role, bench.chosen, tuple(measures), bench.unit, state.sentences(), part)


def compute_prediction(bench: Bench, wanted: "Pairing | None") -> "Prediction | None":
    """The prediction at once where all is known, else once the button is pressed; None until then."""
    from interference.pairs import outlook_steps

    if wanted is None:
        return run_steps(bench, "predict", _paper_steps(bench.chosen), "Relating")
    key = (bench.key, wanted)
    asked, outlook = st.session_state.get(_OUTLOOK, (None, None))
    if asked != key:
        outlook = run_steps(bench, "predict", lambda found: outlook_steps(found, wanted), "Trying one pair")
        st.session_state[_OUTLOOK] = (key, outlook)
    if outlook.known:
        return run_steps(bench, "predict", _suite_steps(wanted), "Relating")
    place = st.container()
    if st.session_state.get(_GO) != key:
        place.info(_what_it_takes(outlook), icon=":material/timer:")
        place.button(
            "Merge and measure", icon=":material/play_arrow:", type="primary", key="predict_start",
            on_click=lambda: st.session_state.update({_GO: key}), help="Runs in the background and can be cancelled.",
        )  # fmt: skip
        return None
    stop = st.empty()
    stop.button(
        "Cancel", icon=":material/close:", key="predict_cancel", on_click=_forget,
        help="What has been scored so far is kept.",
    )  # fmt: skip
    found = run_steps(bench, "predict", _suite_steps(wanted), f"Merging and measuring {outlook.pairs} pairs")
    stop.empty()
    _forget()
    return found


def _forget() -> None:
    """No computation is asked for any more, and what it would take is not known any more."""
    for key in (_GO, _OUTLOOK):
        st.session_state.pop(key, None)


def _paper_steps(languages: tuple[str, ...]) -> "Callable[[Evaluator], Steps[Prediction]]":
    from interference.predict import paper_pairs, predict_steps

    table = paper_pairs()
    if languages:
        table = table.restricted([code for code in languages if code in table.languages])
    return lambda evaluator: predict_steps(table, evaluator.store)


def _suite_steps(wanted: "Pairing") -> "Callable[[Evaluator], Steps[Prediction]]":
    from interference.pairs import prediction_steps

    return lambda evaluator: prediction_steps(evaluator, wanted)


def _what_it_takes(outlook: "Outlook") -> str:
    parts = []
    if outlook.losses:
        parts.append(f"{outlook.losses} losses of {outlook.pairs} merges")
    if outlook.measures:
        parts.append(f"{outlook.measures} measure{'' if outlook.measures == 1 else 's'} of {outlook.pairs} pairs")
    takes = f"About {duration(outlook.seconds)} here, by a trial; what is done is kept."
    return f"Not computed yet: {' and '.join(parts)}. {takes}"


def draw_prediction(bench: Bench, wanted: "Pairing | None", found: "Prediction | None") -> None:
    """What is seen in one sentence, every measure, one measure pair by pair, the numbers, and the paper beside it."""
    if found is not None:
        _draw_found(found)
    if wanted is not None:
        _draw_paper_beside(bench, found)


def _draw_found(found: "Prediction") -> None:
    from interference.figures.predict import forest_figure
    from interference.predict import TESTS
    from interference.views import prediction_sentence

    st.markdown(prediction_sentence(found))
    st.plotly_chart(
        forest_figure(found), config=EXPORT, key="predict_forest",
        alt="Correlation of every measure with the damage, with intervals and chance levels",
    )  # fmt: skip
    st.caption(f"{_READING} {' '.join(found.notes)}")
    _draw_pairs(found)
    with st.expander("Table"):
        draw_table(found.frame, "predict_table", column_order=ORDER, column_config=decimals(found.frame, 3))
        st.caption("A measure passes a test where " + "; ".join(f"*{name}*: {text}" for name, text in TESTS.items()))
    with st.container(horizontal=True):
        for label, frame, name, about in (
            ("Ranking, CSV", found.frame, "prediction", "Every measure with everything tested."),
            ("Pairs, CSV", found.table.frame, "pairs", "Every pair with its damage and measures."),
        ):
            draw_download(
                label, frame, found.table.provenance, name, about, key=f"predict_csv_{name}",
                damage_is=found.table.outcome,
            )  # fmt: skip


@st.fragment
def _draw_pairs(found: "Prediction") -> None:
    """One measure against the damage; only this is drawn again when another is chosen."""
    from interference.figures.predict import pairs_figure
    from interference.predict import beyond_languages

    tried = found.frame[found.frame["why_not"] == ""]
    if tried.empty:
        return
    names = tried["measure"].tolist()
    labels = dict(zip(tried["measure"], tried["label"], strict=True))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        measure = choose_listed(
            "Measure", names, format_func=lambda name: labels.get(name, name), key="predict_measure", width=260,
            help="In the order of the figure above.",
        )  # fmt: skip
        row = tried.set_index("measure").loc[measure]
        marked = choose_listed(
            "Marked language", ["", *found.table.languages], key="predict_marked", width=260,
            format_func=lambda c: language_name(c) if c else "the one that carries it",
            help="Its pairs are drawn in orange. At first the language without which least of the relation is left.",
        )  # fmt: skip
        view = choose_one(
            "Show", (VALUES, BEYOND), key="predict_view",
            help="The numbers themselves, or what one additive effect per language leaves of both.",
        )  # fmt: skip
    beyond = beyond_languages(found.table, measure) if view == BEYOND else None
    figure = pairs_figure(found.table, measure, marked or row["carried_by"], beyond)
    st.plotly_chart(figure, config=EXPORT, key="predict_pairs", alt=f"{labels[measure]} against the damage by pair")
    st.caption(_pair_reading(found.table, row, view))


def _pair_reading(table: "PairTable", row: "pd.Series", view: str) -> str:
    caption = next(p.caption for p in table.predictors if p.name == row.name)
    good = "Lower" if table.better == "low" else "Higher"
    if view == BEYOND:
        if math.isnan(row["partial"]):
            return f"{caption} Languages alone explain all of it, so nothing is left to relate."
        return (
            f"{caption} {good} is better on the vertical axis. Spearman {signed(row['partial'], 2)} over what "
            f"languages leave, chance ±{row['partial_chance']:.2f}, p {row['partial_p']:.3f}."
        )
    left = f"with any one language left out {signed(row['without_low'], 2)} to {signed(row['without_high'], 2)}"
    if math.isnan(row["without_low"]):
        left = f"without {language_name(row['carried_by'])} nothing is left to relate"
    return (
        f"{caption} {good} is better on the vertical axis. Spearman {signed(row['spearman'], 2)} over {row['pairs']} "
        f"pairs, chance ±{row['chance']:.2f}, p {row['p']:.3f}; {left}."
    )


def _draw_paper_beside(bench: Bench, found: "Prediction | None") -> None:
    """The published pairs, measures both have side by side where the suite has been measured."""
    from interference.figures.predict import forest_figure
    from interference.views import beside_paper, prediction_sentence

    paper = run_steps(bench, "predict paper", _paper_steps(()), "Relating the paper's pairs")
    st.header("The paper's 45 pairs", anchor=False)
    st.markdown(prediction_sentence(paper))
    st.plotly_chart(
        forest_figure(paper), config=EXPORT, key="predict_paper",
        alt="Correlation of the paper's measures with the change of accuracy",
    )  # fmt: skip
    reading = (_READING,) if found is None else ()  # else it stands under the figure above
    st.caption(" ".join((*reading, *paper.notes)))
    if found is not None and len(both := beside_paper(found, paper, COUNTERPARTS)):
        draw_table(both, "predict_both", height="content", column_config=decimals(both, 3))
        st.caption(
            "Measures that both have. Damage is a loss in bits here and a change of accuracy there, so a sign that "
            "means the same is opposite: compare `worse with more`."
        )
