"""The merge of the Merge page against each of its parents, which follows its coefficients."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import streamlit as st

from interference.bench import View, on_panel, with_faders
from interference.labels import merge_of
from interference.recipe import Recipe
from interference.steps import Steps
from interference.ui import state
from interference.ui.address import stop_page
from interference.ui.held import is_held
from interference.ui.live import live_plot
from interference.ui.merge import choose_faders
from interference.ui.shown import user_errors
from interference.ui.sidebar import Bench
from interference.ui.similarity.choose import States, choose_measure, request_of
from interference.ui.similarity.draw import applies, draw_numbers, draw_reading
from interference.ui.uncut import uncut
from interference.ui.watch import Asked, Watched, follow
from interference.ui.widgets import ask_recipe, faders, faders_of, remember, set_faders, view_of, widen_range

if TYPE_CHECKING:
    from interference.evaluate import Evaluator
    from interference.similarity import Measure
    from interference.similarity.table import SimilarityTable
    from interference.similarity_request import SimilarityRequest

_FEW = 16  # sentences of a preview: as many as follow a slider
_HEIGHT = 460
_PLACED = "similarity recipe"  # in the session: the recipe that the panel was set to last
Tables = tuple["SimilarityTable", ...]


def draw_merge(bench: Bench, states: States) -> None:
    """Curves of the merge with each parent, beside the Merge page's own panel where that holds its coefficients."""
    view = _present(bench)
    if view is None:
        st.info("There is nothing to merge in this suite: it takes two checkpoints that fit together.")
        stop_page()
    recipe = view.recipe
    measure = choose_measure(bench, states, [(("merge", recipe), (name, name)) for name in _parents(recipe)])
    if _on_panel(recipe):
        _place(view)
    _follow(bench, states, measure)


def _present(bench: Bench) -> View | None:
    """What the Merge page shows, else the equal merge it would open on; None where nothing can be merged."""
    from interference.generate import equal_merge

    recipe, present = state.present_recipe(bench.suite), state.present()
    if recipe and present:
        return view_of(bench, recipe, present.view.faders)
    recipe = equal_merge(bench.suite)
    return view_of(bench, recipe) if recipe else None


def _parents(merge: Recipe) -> tuple[str, ...]:
    """Each parent once, though the recipe name it twice."""
    return tuple(dict.fromkeys(merge.models))


def _on_panel(recipe: Recipe) -> bool:
    return on_panel(recipe) and not is_held(recipe)


def _place(view: View) -> None:
    """Have the panel stand where the view says, once, unless it gives the view's recipe as it stands."""
    if st.session_state.get(_PLACED) == view.recipe:
        return
    method, parents = view.recipe.definition, view.recipe.models
    wanted, now = view.faders or faders_of(view.recipe), faders(method, parents)
    if now is None or (now != wanted and with_faders(view.recipe, now) != view.recipe):
        widen_range(method, parents, wanted.values)
        set_faders(method, parents, wanted)
    st.session_state[_PLACED] = view.recipe


@st.fragment
def _follow(bench: Bench, states: States, measure: "Measure") -> None:
    """All that a moving coefficient changes."""
    view = _present(bench)
    assert view is not None  # else this is not drawn
    with user_errors():
        if not _on_panel(view.recipe):
            st.markdown(
                f"**{view.recipe.label()}** of {', '.join(view.recipe.models)} has no single coefficient for each "
                "parent, so it is set on the Merge page."
            )
            st.page_link("pages/merge.py", label="To the Merge page", icon=":material/merge:")
            _draw_curves(bench, states, measure, view.recipe, False)
            return
        with st.container(horizontal=True, gap="medium"):
            left, right = st.container(key="panel"), st.container(key="figure")
        with left:
            moved, moving = _move(bench, view)
        with right:
            if moved is None:
                st.info("Give at least one parent a coefficient other than zero.", icon=":material/tune:")
                return
            if not moving and moved != view:
                _settle(view, moved)
            _draw_curves(bench, states, measure, moved.recipe, moving)


def _move(bench: Bench, view: View) -> tuple[View | None, bool]:
    """The view with the coefficients of the panel, None where nothing is heard, and whether one is being moved."""
    now, moving = choose_faders(bench, view.recipe.definition, view.recipe.models)
    if now == (view.faders or faders_of(view.recipe)):
        return view, moving
    recipe = with_faders(view.recipe, now)
    return (replace(view, recipe=recipe, faders=now) if recipe else None), moving


def _settle(before: View, moved: View) -> None:
    """A move here is one of the Merge page's: it can be taken back there, and its widgets stand so when it opens."""
    with uncut():
        if state.present() is None:
            remember(before)
        remember(moved)
        st.session_state[_PLACED] = moved.recipe
        ask_recipe(moved.recipe, moved)


def _request(bench: Bench, states: States, measure: "Measure", merge: Recipe) -> "SimilarityRequest":
    """Both sides read the parent's language, or one where no parent has one."""
    without = all(bench.suite[name].language is None for name in merge.models)
    parents = tuple((name, name) for name in _parents(merge) if name != "merge")
    return request_of(
        (("merge", merge), *parents), measure, states, against=("merge",), condition="pivot" if without else "own"
    )  # fmt: skip


def _watch(bench: Bench, asked: "SimilarityRequest", moving: bool) -> Watched[Tables, Tables]:
    """The measure and the rotation gaps; while a coefficient moves the measure alone, of few sentences."""
    from interference.similarities import kept_tables, similarity_steps, tables_steps
    from interference.similarity_request import gaps_of

    both = asked, gaps_of(asked)
    few = replace(asked, sentences=min(_FEW, asked.sentences or _FEW), intervals=False)

    def preview(evaluator: "Evaluator") -> Steps[Tables]:
        return ((yield from similarity_steps(evaluator, few, keep=not moving)),)  # at rest it is asked for again

    wanted: Asked[Any, Any] = Asked(
        asked, lambda found: kept_tables(found, *both), lambda found: tables_steps(found, *both), preview
    )
    return follow(bench, wanted, moving)


def _draw_curves(bench: Bench, states: States, measure: "Measure", merge: Recipe, moving: bool) -> None:
    """The headline, the sentence, the figure and what stands below, each saying whether it is a preview."""
    from interference.figures.similarity import follow_figure
    from interference.views_similarity import gap_sentence, similarity_sentence

    asked = _request(bench, states, measure, merge)
    watched = _watch(bench, asked, moving)
    table, *gaps = watched.found
    count = int(table.frame["sentences"].iloc[0])
    said = f"{count} sentences" if gaps else f"preview from {count} of {states.sentences} sentences"
    frame = table.frame.assign(kind=table.frame["model_b"])
    with st.container(key="headline"):
        st.markdown(gap_sentence(gaps[0].frame) if gaps else "Rotation gap: measured when the coefficients rest.")
    with st.container(key="similarity_sentence"):
        st.markdown(similarity_sentence(frame, measure))
    if applies(table):
        live_plot(
            follow_figure(frame[frame["why_not"] == ""], measure.label, measure.best, said),
            key="similarity_merge_figure", height=_HEIGHT, pending=watched.pending, tick_ms=watched.tick_ms,
            alt=f"{measure.label} of the merge with each parent along the layers", filename="similarity",
        )  # fmt: skip
    preview = "" if gaps else f"This is a {said}, without intervals, until the full result is there. "
    read = "the parent's language" if asked.condition == "own" else "one language, for no parent has one"
    how = f"The merge is {merge_of(merge)}; both read {read}."
    draw_reading(table, measure, states, preview + how)
    if not moving:  # the fewer the elements, the sooner the figure follows
        draw_numbers(table, *gaps)
