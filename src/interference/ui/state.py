"""The session's state of the bench: the present view, the pins, and what can be undone."""

import uuid
from collections import OrderedDict
from typing import TYPE_CHECKING

import streamlit as st

from interference.bench import SENTENCES, History, State
from interference.recipe import Recipe
from interference.spread import same_merge
from interference.ui.uncut import uncut

if TYPE_CHECKING:
    from interference.suite import Suite

_KEY = "history"
_NAME = "name of the session"
_SESSIONS = 64  # whose moves are kept for a page that is loaded anew
_TAKEN = "taken to the merge page"  # by page: the recipe that was, and the one that the page looked at


def history() -> History | None:
    """All moves of this session; None until a view has been drawn."""
    return st.session_state.get(_KEY)


def present() -> State | None:
    """The view that the Merge page shows or showed last, with the pins; None until one has been drawn."""
    found = history()
    return found.present if found else None


def sentences() -> int:
    """As many sentences of each language as the Merge page takes."""
    found = present()
    return found.view.sentences if found else SENTENCES


def present_recipe(suite: "Suite") -> Recipe | None:
    """What the Merge page merges, if the suite has all of it."""
    found = present()
    return found.view.recipe if found and set(found.view.recipe.needed) <= set(suite.names) else None


def merge_looked_at(suite: "Suite") -> Recipe:
    """What other pages look at: what the Merge page merges, else the equal average of what is merged unless told."""
    from interference.conflict.survey import default_models, equal_average

    return present_recipe(suite) or equal_average(default_models(suite))


def take(page: str, recipe: Recipe, looked_at: Recipe | None) -> None:
    """Remember that a page gave the Merge page its recipe, so that going back to it shows what it showed."""
    st.session_state[_TAKEN] = st.session_state.get(_TAKEN, {}) | {page: (recipe, looked_at)}


def taken_from(page: str, suite: "Suite") -> tuple[Recipe | None] | None:
    """What a page looked at where the Merge page still merges what was taken there from it; None where it does not."""
    recipe, looked_at = st.session_state.get(_TAKEN, {}).get(page, (None, None))
    now = present_recipe(suite)
    if recipe is None or now is None or recipe.models != now.models:
        return None
    return (looked_at,) if same_merge(recipe, now, suite[now.models[0]].shapes) else None


def move(state: State) -> None:
    """Make a state the present one; the one before it can be undone."""
    found = history()
    _keep(found.move(state) if found else History(state))


def undo() -> None:
    """Back to the state before."""
    if found := history():
        _keep(found.undo())


def redo() -> None:
    """Forward to the state that was undone."""
    if found := history():
        _keep(found.redo())


def name() -> str:
    """What the browser knows this session by."""
    return st.session_state.setdefault(_NAME, uuid.uuid4().hex)


def take_over(session: str) -> State | None:
    """Go on under the name of a session that has ended, with its moves; its present state, None where it is not known
    any more, and this session's own moves go on."""
    found = _moves().get(session)
    _moves().pop(name(), None)
    st.session_state[_NAME] = session
    if kept := found or history():
        _keep(kept)
    return found.present if found else None


@st.cache_resource(show_spinner=False)
def _moves() -> OrderedDict[str, History]:
    """By session, the one that moved last at the end."""
    return OrderedDict()


def _keep(found: History) -> None:
    with uncut():
        _moves().pop(name(), None)
        st.session_state[_KEY] = _moves()[name()] = found
    while len(_moves()) > _SESSIONS:
        _moves().popitem(last=False)
