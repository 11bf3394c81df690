"""Widgets of the Accuracy page."""

from dataclasses import replace
from typing import TYPE_CHECKING

import streamlit as st

from interference.errors import UserError
from interference.labels import merge_of
from interference.languages import same_language
from interference.recipe import Recipe
from interference.ui import state
from interference.ui.running import read_path, run_drawing
from interference.ui.shown import EXPORT, draw_download, draw_table, fold_table
from interference.ui.sidebar import Bench
from interference.ui.widgets import choose_language, choose_listed, choose_number, choose_one

if TYPE_CHECKING:
    import pandas as pd

    from interference.minimal_pairs import AccuracyTable, PairSet

_FEW, _MOST, _DEFAULT = 1, 120, 20  # pairs of each phenomenon
_SHOWN = 200  # example pairs
COLUMNS = ("language", "phenomenon", "pairs", "accuracy", "low", "high", "ties", "margin", "model")


def choose_pairs(bench: Bench) -> "tuple[Recipe, PairSet]":
    """The merge of the Merge page, whose pairs, and how many of each phenomenon."""

    recipe = state.merge_looked_at(bench.suite)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        file = st.text_input(
            "Pairs", placeholder="of the built-in grammar", key="pairs", bind="query-params", width=320,
            help="A file (.tsv, .jsonl, .parquet) in MultiBLiMP's columns: sen, wrong_sen, phenomenon, language. "
            "Without the last it is of the language that it or its folder is named after, as eng/data.tsv is.",
        )  # fmt: skip
        count = choose_number(
            "Of each phenomenon", _FEW, _MOST, _DEFAULT, 10, key="pair_count", width=170,
            help="Pairs of each phenomenon and language at most. More of them take longer and narrow the intervals.",
        )  # fmt: skip
    st.caption(f"The merge: {merge_of(recipe)}, as the Merge page has it.")
    return recipe, _pairs(bench, file.strip()).few(count)


def _pairs(bench: Bench, file: str) -> "PairSet":
    """Pairs of the file, or of the grammar, in the languages that the sidebar shows."""
    from interference.demo.forms import LANGUAGES
    from interference.minimal_pairs import PairSet, own_pairs, read_pairs

    path = read_path(file)
    made = [code for code in bench.languages if same_language(code, LANGUAGES)]
    found = read_pairs(path).called(bench.languages) if path else own_pairs(made) if made else PairSet("built-in", ())
    pairs = tuple(pair for pair in found.pairs if pair.language in bench.languages)
    if not pairs:
        whose = (
            f"{file} has pairs of {', '.join(found.languages)}" if path else "The built-in grammar makes other pairs"
        )
        raise UserError(
            f"{whose}, and none of {', '.join(bench.languages)}. Name a file of pairs in a language of the corpus: one "
            "that has a column `language`, or that is named after it, as eng.tsv or eng/data.tsv is."
        )
    return PairSet(found.name, pairs)


def compute_accuracy(bench: Bench, recipe: Recipe, pairs: "PairSet") -> "AccuracyTable":
    """The accuracy of the merge, its parents, the references and the controls; languages are drawn as they come."""
    from interference.figures.accuracy import accuracy_figure
    from interference.scored import UNIGRAM
    from interference.sweep import accuracy_steps
    from interference.views_accuracy import accuracy_models, accuracy_sentence, accuracy_view

    models = accuracy_models(recipe, bench.suite, pairs.languages)

    def draw(table: "AccuracyTable") -> None:
        view = accuracy_view(table, recipe, bench.suite)
        st.markdown(accuracy_sentence(view))
        st.plotly_chart(accuracy_figure(view), config=EXPORT, alt="Accuracy in the languages that are scored")
        st.caption(f"{view['language'].nunique()} of {len(pairs.languages)} languages so far.")

    table = run_drawing(
        bench, "accuracy", lambda found, tell: accuracy_steps(found, models, pairs, pairs.languages, tell),
        "Scoring pairs", draw,
    )  # fmt: skip
    if UNIGRAM in models:
        return table
    missing = (
        "There is no unigram control, which counts the tokens of the dev half: a corpus without documents has none."
    )
    return replace(table, notes=(*table.notes, missing))


def draw_accuracy(bench: Bench, recipe: Recipe, table: "AccuracyTable") -> None:
    """What is seen in one sentence, a figure with its reading, the pairs themselves, and what can be taken away."""
    from interference.minimal_pairs import BY
    from interference.views_accuracy import accuracy_sentence, accuracy_view

    view = accuracy_view(table, recipe, bench.suite)
    st.markdown(accuracy_sentence(view))
    by = choose_one(
        "By", BY, key="accuracy_by", label_visibility="collapsed",
        help="By language: the merge beside its parents and the controls. By phenomenon: one model, error by error.",
    )  # fmt: skip
    if by == BY[0]:
        _draw_languages(view, table)
    else:
        _draw_phenomena(table)
    _draw_pairs(table)
    fold_table(table.by(by), "accuracy_table", column_order=COLUMNS)
    with st.container(horizontal=True):
        for label, frame, name, about in (
            ("Accuracy, CSV", table.frame, "accuracy", "Every model, language and phenomenon with its interval."),
            ("Pairs, CSV", table.examples, "pairs", "Every pair with the bits of both sentences under every model."),
        ):
            draw_download(label, frame, table.provenance, name, about)


def _draw_languages(view: "pd.DataFrame", table: "AccuracyTable") -> None:
    from interference.figures.accuracy import accuracy_figure

    st.plotly_chart(
        accuracy_figure(view), config=EXPORT, key="accuracy_figure",
        alt="Share of minimal pairs right by language, for the merge, its parents and the controls",
    )  # fmt: skip
    st.caption(
        "Higher is better; left of the dashed line a model prefers the errors. A model that knows nothing of a "
        "language can still stand off 50 %, where errors are made of rarer words: the controls say where. "
        + " ".join(table.notes)
    )


def _draw_phenomena(table: "AccuracyTable") -> None:
    from interference.figures.accuracy import phenomenon_figure
    from interference.scored import UNIGRAM

    frame = table.by("phenomenon")
    model = choose_listed(
        "Model", list(dict.fromkeys(table.frame["model"])), key="accuracy_model", width=220,
        help="Whose accuracy is shown error by error.",
    )  # fmt: skip
    own, control = (frame[frame["model"] == name] for name in (model, UNIGRAM))
    beyond = ", and above the unigram control, which knows no grammar, on the same pairs" if len(control) else ""
    own = own.assign(above=table.above(own, [UNIGRAM]))
    st.plotly_chart(
        phenomenon_figure(own, control), config=EXPORT, key="phenomenon_figure",
        alt=f"Share of minimal pairs that {model} gets right, by kind of error and language",
    )  # fmt: skip
    st.caption(
        f"Purple is better than chance, orange worse. Bold is above chance with all of its interval{beyond}. "
        + " ".join(table.notes)
    )


def _draw_pairs(table: "AccuracyTable") -> None:
    """The merge's pairs of one language, those it gets wrong first."""
    from interference.views import MERGE

    languages = list(dict.fromkeys(table.frame["language"]))
    with st.expander("Pairs", expanded=True):
        language = choose_language(
            languages, key="accuracy_language", width=220,
            help="Whose pairs are listed, with what the merge needs for both sentences; wrong ones first.",
        )  # fmt: skip
        examples = table.examples[(table.examples["model"] == MERGE) & (table.examples["language"] == language)]
        draw_table(
            examples.sort_values("right", kind="stable").head(_SHOWN), "accuracy_pairs", height=300,
            column_order=("phenomenon", "right", "good_bits", "bad_bits", "good", "bad"),
            column_config={
                "good": st.column_config.TextColumn("right sentence"),
                "bad": st.column_config.TextColumn("with the error"),
                "good_bits": st.column_config.NumberColumn("bits, right", format="%.1f"),
                "bad_bits": st.column_config.NumberColumn("bits, error", format="%.1f"),
                "right": st.column_config.NumberColumn("right", format="%.1f"),
            },
        )  # fmt: skip
