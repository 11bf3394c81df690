"""The sidebar, and the bench that it settles: an open suite, and where and how to measure."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

from interference.errors import UserError
from interference.languages import language_name
from interference.ui.address import stop_page
from interference.ui.links import draw_link_error
from interference.ui.running import evaluator_of
from interference.ui.widgets import choose_listed, keep_valid

if TYPE_CHECKING:
    from interference.corpus import Corpus
    from interference.suite import Suite

SETTINGS = ("suite", "corpus", "device", "languages", "unit")  # parameters of the address that hold on every page


@dataclass(frozen=True)
class Bench:
    """What the sidebar has settled: an open suite and where and how to measure."""

    suite: "Suite"
    key: tuple[str, str, str]
    languages: tuple[str, ...]
    unit: str

    @property
    def chosen(self) -> tuple[str, ...]:
        """The languages as a view names them: none where they are all of the corpus, which need not all have models."""
        return () if set(self.languages) == set(self.corpus.languages) else self.languages

    @property
    def corpus(self) -> "Corpus":
        """The corpus losses are measured on; a bench is not opened without one."""
        assert self.suite.corpus is not None
        return self.suite.corpus


@contextmanager
def _sidebar() -> Iterator[None]:
    """Draw in the sidebar what belongs to the app and not to a page: what it says outlives the way to another page,
    also back and forward in the browser, where Streamlit takes a page's own settings alone."""
    from streamlit.runtime.scriptrunner_utils.script_run_context import get_script_run_ctx

    context = get_script_run_ctx()
    assert context is not None  # a page is drawn in a session
    with context.run_with_active_hash(context.pages_manager.main_script_hash), st.sidebar:
        yield


def open_sidebar() -> None:
    """The sidebar alone, for a page that needs no suite; one that can't be opened is said there."""
    try:
        _open_bench()
    except UserError as error:
        st.sidebar.error(str(error), icon=":material/error:")


def open_bench() -> Bench:
    """The sidebar, and the suite it names. Stops the page with a message if that can't be opened."""
    try:
        return _open_bench()
    except UserError as error:
        st.error(str(error), icon=":material/error:")
        stop_page(whole=False)


def _open_bench() -> Bench:
    from interference.ui.export import draw_exporting

    with _sidebar():
        draw_exporting()
        suite = st.text_input(
            "Suite",
            os.environ.get("INTERFERENCE_SUITE", ""),
            placeholder="built-in: ten languages",
            key="suite",
            bind="query-params",
            help="A suite.yaml, or a folder of checkpoint folders. Empty is the built-in suite.",
        )
        corpus = st.text_input(
            "Corpus",
            os.environ.get("INTERFERENCE_CORPUS", ""),
            placeholder="the suite's own",
            key="corpus",
            bind="query-params",
            help="Parallel text: a table (TSV, JSONL, parquet) with a column for each language and optionally "
            "`document`, a folder of eng.txt, deu.txt, ..., or a corpus.yaml that describes either.",
        )
        device = _choose_device()
    key = (suite.strip(), corpus.strip(), device)
    draw_link_error()
    place = st.empty()
    try:
        with place.container(), st.spinner("Loading torch and opening the suite…"):
            evaluator = evaluator_of(*key)
    finally:
        place.empty()
    from interference.tables import known_units

    with _sidebar():
        languages = _choose_languages(evaluator.corpus.languages)
        unit = choose_listed(
            "Unit", known_units(evaluator.corpus), key="unit",
            help="Bits per sentence are fair across languages (the same meaning), bits per byte across tokenizers.",
        )  # fmt: skip
        sizes = f"{len(evaluator.suite.checkpoints)} checkpoints, {len(evaluator.corpus.rows(None))} test sentences"
        left = evaluator.corpus.left
        said = f"; not read: {', '.join(left)}, no language of the suite" if left else ""
        st.caption(f"**{evaluator.suite.name}**: {sizes}, on {evaluator.device}{said}")
    return Bench(evaluator.suite, key, languages, unit)


def open_view(bench: Bench, suite: str, corpus: str) -> Bench:
    """The same bench on another suite and corpus, all languages. Raises UserError if they can't be opened."""
    key = (suite, corpus, bench.key[2])
    evaluator = evaluator_of(*key)
    return Bench(evaluator.suite, key, evaluator.corpus.languages, bench.unit)


def _choose_device() -> str:
    given = os.environ.get("INTERFERENCE_DEVICE", "")
    options = list(dict.fromkeys([given, "", "cpu", "cuda"])) if given else ["", "cpu", "cuda"]
    return st.selectbox(
        "Device", options, format_func=lambda d: d or "automatic", key="device", bind="query-params",
        help="Where merges and losses are computed: automatic is CUDA where there is one, else the CPU.",
    )  # fmt: skip


def _choose_languages(known: tuple[str, ...]) -> tuple[str, ...]:
    keep_valid("languages", known, codes=list)
    chosen = st.multiselect(
        "Languages", known, placeholder="all", format_func=language_name, key="languages", bind="query-params",
        help="Languages of the corpus to show; empty is all of them.",
    )  # fmt: skip
    return tuple(code for code in known if code in chosen) or known
