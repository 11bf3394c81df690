"""Widgets of the Text page."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import streamlit as st

from interference.labels import merge_of
from interference.languages import language_name
from interference.recipe import Recipe
from interference.ui.running import run_steps
from interference.ui.shown import draw_download, draw_table
from interference.ui.sidebar import Bench
from interference.ui.state import present

if TYPE_CHECKING:
    import pandas as pd

    from interference.generate import Answers, Question, Sampling, Token
    from interference.sentences import SentenceTable

SENTENCES = 150
_REFERENCE = "each language's reference"


def _merge(bench: Bench) -> Recipe | None:
    """The merge that the Merge page shows or showed last if it can be merged, else the equal linear merge."""
    from interference.generate import equal_merge

    state = present()
    if state and bench.suite.fits(state.view.recipe.needed):
        return state.view.recipe
    return equal_merge(bench.suite)


def _label(merge: Recipe) -> str:
    return f"The merge: {merge_of(merge)}."


def draw_said(bench: Bench) -> None:
    """Continuations of one prompt side by side, drawn while they are written."""
    from interference.figures.tokens import probability_legend, said_html
    from interference.generate import token_frame

    question = _choose_question(bench)
    if not question.models:
        st.info("Choose at least one parent to continue the prompt.", icon=":material/tune:")
        return
    places = []
    for column, (name, _) in zip(st.columns(len(question.models), gap="medium"), question.models, strict=True):
        column.markdown(f"**{name}**")
        places.append(column.empty())

    def draw(told: "list[list[Token]]") -> None:
        for place, tokens in zip(places, told, strict=True):
            place.html(said_html(question.prompt, token_frame(list(tokens))))

    answers = _answers(bench, question, draw)
    draw([list(c.tokens) for c in answers.continuations])
    st.html(probability_legend())
    merges = [model for _, model in question.models if not isinstance(model, str)]
    st.caption(" ".join([answers.sentence(), *map(_label, merges)]))
    _download(answers.tokens(), answers.provenance, "continuations")


def _choose_question(bench: Bench) -> "Question":
    """The prompt, who continues it and how."""
    from interference.generate import Question, default_models, default_prompt, speaker

    merge = _merge(bench)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        language = st.selectbox(
            "Language",
            bench.languages,
            format_func=language_name,
            key="say_language",
            persist_state="session",
            width=160,
            help="The language of the prompt, and of the parent that is offered at first.",
        )
        key, default = f"prompt {language}", default_prompt(bench.corpus, language)
        if st.session_state.get(key) == st.session_state.get(f"{key} unedited"):
            st.session_state[key] = default  # of the corpus that is open now
        st.session_state[f"{key} unedited"] = default
        prompt = st.text_input(
            "Prompt",
            key=key,
            persist_state="session",
            width=320,
            help="Unless edited, how the first test sentence begins. Empty: the model begins by itself.",
        )
        parents = st.multiselect(
            "Parents",
            bench.suite.names,
            [speaker(bench.suite, language)],
            max_selections=4,
            key=f"say_parents {language}",
            persist_state="session",
            width=260,
            help="Checkpoints that continue it beside the merge and the multilingual model.",
        )
    sampling = _choose_sampling()
    return Question(default_models(bench.suite, language, merge, parents), prompt, sampling)


def _choose_sampling() -> "Sampling":
    from interference.generate import Sampling

    temperature, top_p, seed = 0.0, 1.0, 0
    with st.container(horizontal=True, vertical_alignment="bottom"):
        length = st.number_input(
            "Tokens at most", 1, 200, 40, key="say_length", persist_state="session", width=130,
            help="Where a text is cut that does not end by itself.",
        )  # fmt: skip
        how = st.segmented_control(
            "Choice of tokens",
            ["greedy", "sampled"],
            default="greedy",
            key="say_how",
            required=True,
            persist_state="session",
            help="Greedy takes the likeliest token every time; sampled draws by probability.",
        )
        if how == "sampled":
            temperature = st.slider(
                "Temperature", 0.05, 2.0, 1.0, 0.05, key="say_temperature", persist_state="session", width=180,
                help="Below 1 likely tokens are drawn more often than the model says, above 1 less often.",
            )  # fmt: skip
            top_p = st.slider(
                "Top-p", 0.05, 1.0, 1.0, 0.05, key="say_top_p", persist_state="session", width=180,
                help="Only the likeliest tokens of so much probability together are drawn from; 1 is all of them.",
            )  # fmt: skip
            seed = st.number_input(
                "Seed", 0, 2**31 - 1, 0, key="say_seed", persist_state="session", width=130,
                help="The same seed draws the same text.",
            )  # fmt: skip
    return Sampling(int(length), float(temperature), float(top_p), int(seed))


def _answers(bench: Bench, question: "Question", draw: "Callable[[list[list[Token]]], None]") -> "Answers":
    """The answers to a question; those to the last one of this session are at hand."""
    from interference.generate import answer_steps

    kept = st.session_state.get("_answers")
    if kept and kept[0] is bench.suite and kept[1].question == question:
        return kept[1]
    told: list[list[Token]] = [[] for _ in question.models]
    answers = run_steps(
        bench,
        "say",
        lambda evaluator: answer_steps(evaluator, question, lambda number, token: told[number].append(token)),
        "Writing",
        glance=lambda: draw(told),
    )
    st.session_state["_answers"] = (bench.suite, answers)
    return answers


def draw_sentences(bench: Bench) -> None:
    """The sentences that a merge costs most, and one of them token by token."""
    merge = _merge(bench)
    if merge is None:
        st.info("No two checkpoints of this suite can be merged, so there is no merge to compare.")
        return
    table = _compute_sentences(bench, merge)
    st.markdown(table.sentence())
    shown = _filtered(table)
    if shown.empty:
        st.info("No sentence fits these filters.", icon=":material/filter_alt_off:")
        return
    event = draw_table(
        shown,
        "costs_table",
        height=300,
        on_select="rerun",
        selection_mode="single-row",
        column_order=["text", "document", "language", "tokens", "bits", "reference_bits", "cost", "reference"],
        column_config={
            "text": st.column_config.TextColumn("sentence", width="large"),
            "bits": st.column_config.NumberColumn("bits merge", format="%.1f"),
            "reference_bits": st.column_config.NumberColumn("bits reference", format="%.1f"),
            "cost": st.column_config.NumberColumn(format="%+.1f"),
        },
    )
    st.caption(f"{table.note} {_label(merge)} Choose a row to see its tokens; without a choice it is the first.")
    _download(shown, table.provenance, "sentences")
    chosen = [row for row in event["selection"]["rows"] if row < len(shown)]
    _draw_line(bench, merge, shown.iloc[chosen[0] if chosen else 0])


def _compute_sentences(bench: Bench, merge: Recipe) -> "SentenceTable":
    from interference.sentences import sentence_steps

    most = len(bench.corpus.rows(None))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        count = st.number_input(
            "Sentences per language",
            1,
            most,
            min(SENTENCES, most),
            50,
            key="costs_sentences",
            persist_state="session",
            width=165,
            help=f"A fixed subset of the {most} test sentences, the same as on the Merge page.",
        )
        against = st.selectbox(
            "Against", [_REFERENCE, *bench.suite.names], key="costs_against", persist_state="session", width=220,
            help="The checkpoint whose bits for a sentence are subtracted from the merge's.",
        )  # fmt: skip
    other = None if against == _REFERENCE else against
    return run_steps(
        bench,
        "sentences",
        lambda evaluator: sentence_steps(evaluator, merge, bench.languages, int(count), other),
        "Scoring sentences",
    )


def _filtered(table: "SentenceTable") -> "pd.DataFrame":
    """The rows of the table that the widgets ask for."""
    from interference.sentences import choose

    frame = table.frame
    low, high = int(frame["tokens"].min()), int(frame["tokens"].max())
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = st.text_input(
            "Search", key="costs_search", placeholder="text in the sentence", width=220,
            help="Show sentences that hold this text.",
        )  # fmt: skip
        languages = st.multiselect(
            "Language", frame["language"].unique(), format_func=language_name, key="costs_languages", width=220,
            placeholder="all", help="Show sentences of these languages.",
        )  # fmt: skip
        documents = st.multiselect(
            "Document", sorted(frame["document"].unique()), key="costs_documents", width=180, placeholder="all",
            help="Show sentences of these documents.",
        )  # fmt: skip
        tokens = (low, high)
        if low < high:
            tokens = st.slider(
                "Tokens", low, high, (low, high), key="costs_tokens", width=200,
                help="Show sentences of this length, in tokens.",
            )  # fmt: skip
    return choose(frame, languages, documents, tokens, text)


def _draw_line(bench: Bench, merge: Recipe, row: "pd.Series") -> None:
    from interference.figures.tokens import line_html
    from interference.sentences import token_line_steps

    language, reference = str(row["language"]), str(row["reference"])
    line = run_steps(
        bench,
        "tokens",
        lambda evaluator: token_line_steps(evaluator, merge, "merge", reference, language, int(row["row"])),
        "Scoring tokens",
    )
    st.html(line_html(line.frame, line.model, line.reference))
    st.caption(line.sentence())
    _download(line.frame, line.provenance, "tokens")


def _download(frame: "pd.DataFrame", provenance: dict[str, str], name: str) -> None:
    said = "Every number drawn here and where it comes from."
    draw_download(f"{name.capitalize()} as CSV", frame, provenance, name, said)
