"""A view in the widgets' own state, and back: what links, pins, undo and the guide write."""

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import streamlit as st

from interference.bench import Faders, State, View
from interference.languages import language_name
from interference.recipe import Recipe
from interference.registry import Argument, Method
from interference.ui import state
from interference.ui.live import coefficient_panel, move_panel
from interference.ui.more import more_of, set_more

if TYPE_CHECKING:
    import pandas as pd

    from interference.ui.sidebar import Bench

_T = TypeVar("_T")
_ROWS = 12  # of a table that shows all of them
# In the session:
GOTO = "to the merge page"  # until that is drawn, for a second click may come on the way there, or when it is there
ASKED = "recipe asked for"  # a recipe, and the panel that gave it, if any


def parents_key(method: Method) -> str:
    """Methods of two parents remember another choice than those of many."""
    return "parents" if method.parents[1] > 2 else f"parents{method.parents[1]}"


def panel_key(method: Method, parents: tuple[str, ...]) -> str:
    return f"panel {method.takes} {len(parents)}"


def faders(method: Method, parents: tuple[str, ...]) -> Faders | None:
    """The panel as this session left it for these parents."""
    return st.session_state.get(_faders_key(method, parents))


def keep_faders(method: Method, parents: tuple[str, ...], value: Faders) -> None:
    st.session_state[_faders_key(method, parents)] = value


def set_faders(method: Method, parents: tuple[str, ...], value: Faders) -> None:
    """Have the panel of these parents stand so when it is drawn next."""
    move_panel(panel_key(method, parents), value)  # first, for a run may end here that sets what is not kept yet
    keep_faders(method, parents, value)


def draw_panel(
    bench: "Bench", parents: Sequence[str], values: Sequence[float], between: tuple[float, float], *, key: str,
    help: str = "",
) -> tuple[Faders, bool]:  # fmt: skip
    """The panel of these parents with their languages; how it stands, and whether a slider is held."""
    languages = [bench.suite[parent].language for parent in parents]
    names = [language_name(language) if language else "" for language in languages]
    low, high = between
    return coefficient_panel(parents, values, low=low, high=high, names=names, key=key, help=help)


def _faders_key(method: Method, parents: tuple[str, ...]) -> str:
    return "\0".join(("faders", method.takes, *parents))


def knob_key(method: Method, argument: Argument) -> str:
    return f"{method.name} {argument.name}"


def coefficient_range(method: Method, parents: tuple[str, ...]) -> tuple[float, float]:
    """Where the coefficients of these parents may lie: as far as is usual, or as a recipe that was opened asks for."""
    low, high = (-1.0, 2.0) if method.needs_base else (0.0, 1.0)
    least, most = st.session_state.get(_range_key(method, parents), (low, high))
    return min(low, least), max(high, most)


def widen_range(method: Method, parents: tuple[str, ...], values: Iterable[float]) -> None:
    """Have the sliders reach these values; whole numbers, and never so narrow again in this session."""
    low, high = coefficient_range(method, parents)
    values = tuple(values)
    st.session_state[_range_key(method, parents)] = (
        min(low, *(float(math.floor(v)) for v in values)), max(high, *(float(math.ceil(v)) for v in values))
    )  # fmt: skip


def _range_key(method: Method, parents: tuple[str, ...]) -> str:
    return f"range {_faders_key(method, parents)}"


def write_view(view: View) -> None:
    """Set every widget to a view; to be called before they are drawn, in a callback for example."""
    for name, value in (("suite", view.suite), ("corpus", view.corpus), ("unit", view.unit)):
        st.session_state[name] = value
    st.session_state["languages"] = list(view.languages)
    st.session_state["controls"] = list(view.controls)
    st.session_state["sentences"] = view.sentences
    ask_recipe(view.recipe, view)


def ask_recipe(recipe: Recipe, view: View | None = None) -> None:
    """Have the Merge page show a recipe when it is drawn next; its coefficients are set there, on the open suite."""
    method = recipe.definition
    st.session_state["method"] = method.name
    st.session_state[parents_key(method)] = list(dict.fromkeys(recipe.models))[: method.parents[1]]
    if method.base == "optional":
        st.session_state["optional_base"] = recipe.base or ""
    elif recipe.base:
        st.session_state["base"] = recipe.base
    set_more(more_of(recipe))
    st.session_state["guide"] = None  # what the guided finding says is about another merge
    st.session_state[ASKED] = (recipe, view.faders if view else None)


def view_of(bench: "Bench", recipe: Recipe, panel: Faders | None = None) -> View:
    """The present view with another recipe, the panel that gave it, if any, and what the sidebar says by now."""
    present = state.present()
    before = present.view if present else View(recipe)
    sentences = min(before.sentences, len(bench.corpus.rows(None)))  # the Merge page would make a move of taking fewer
    return replace(
        before, recipe=recipe, faders=panel, suite=bench.key[0], corpus=bench.key[1], languages=bench.chosen,
        unit=bench.unit, sentences=sentences,
    )  # fmt: skip


def remember(view: View) -> None:
    """Make a view that has come to rest the present one."""
    before = state.present()
    state.move(replace(before, view=view) if before else State(view))


def take_to_merge(bench: "Bench", recipe: Recipe, page: str, looked_at: Recipe | None) -> None:
    """Make a recipe of a page, which looked at another, the present view and go to the Merge page with the next run:
    for a callback, for the widgets that are set may stand on the page."""
    state.take(page, recipe, looked_at)
    view = view_of(bench, recipe)
    write_view(view)
    remember(view)
    st.session_state[GOTO] = True


def go_if_asked() -> None:
    """To the Merge page, where a recipe was taken there and has not arrived."""
    if GOTO in st.session_state:
        st.switch_page("pages/merge.py", query_params={})  # without these it fails where the address names a widget


def faders_of(recipe: Recipe, weights: tuple[float, ...] | None = None) -> Faders:
    """A panel that gives a recipe's coefficients, or those given in their place."""
    no = (False,) * len(recipe.models)
    weights = recipe.weights if weights is None else weights
    return Faders(weights, no, no, None, bool(recipe.settings().get("normalize", False)))


def put(key: str, value: Any) -> None:
    """Set a widget before it is drawn, only where it stands elsewhere: a browser drops a click that is on its way when
    it is told where the widget stands."""
    if key not in st.session_state or st.session_state[key] != value:
        st.session_state[key] = value


def keep_valid(key: str, options: Collection[Any], codes: type | None = None, default: Any = None) -> None:
    """Take out of a widget's state what is no option any more, and say so: Streamlit does it without a word.

    A widget of one option is set to `default`, or the first: without a value the browser would show the old one.

    An address may name options that have labels by their codes too, `eng` for "English (eng)", which Streamlit does
    not: `codes` is `list` for a widget of several such options, `str` for one of one.
    """
    if codes and key not in st.session_state and (given := [v for v in st.query_params.get_all(key) if v in options]):
        st.session_state[key] = given if codes is list else given[0]
    value = st.session_state.get(key)
    if value is None:  # not drawn yet, or nothing chosen
        return
    unknown = [v for v in (value if isinstance(value, list | tuple) else [value]) if v not in options]
    if not unknown:
        return
    if isinstance(value, list | tuple):
        st.session_state[key] = [v for v in value if v in options]
    else:
        st.session_state[key] = default if default in options else next(iter(options), None)
    st.toast(f"Left out, for it is not to be had here: {_listed(unknown)}.", icon=":material/info:", duration="long")


def choose_one(label: str, options: Sequence[_T], *, key: str, help: str, default: _T | None = None, **more: Any) -> _T:
    """One of a few options, the first by default, in a row of buttons that the address keeps.

    An address that names none, `?measure=`, has Streamlit choose none, though one is required.
    """
    default = options[0] if default is None else default
    if st.session_state.get(key, default) is None:
        st.session_state[key] = default
    chosen = st.segmented_control(
        label, options, default=default, required=True, key=key, bind="query-params", help=help, **more
    )
    return default if chosen is None else chosen


def choose_listed(
    label: str, options: Sequence[_T], *, key: str, help: str, default: _T | None = None, **more: Any
) -> _T:
    """One of many options, the first by default, in a list that the address keeps."""
    default = options[0] if default is None else default
    keep_valid(key, options, codes=str if "format_func" in more else None, default=default)
    index = options.index(default)
    return st.selectbox(label, options, index, key=key, bind="query-params", help=help, **more)


def choose_language(languages: Sequence[str], *, key: str, help: str, **more: Any) -> str:
    """One of some languages, as `choose_listed`."""
    return choose_listed("Language", languages, key=key, help=help, format_func=language_name, **more)


def choose_number(
    label: str, low: int, high: int, default: int, step: int = 1, *, key: str, help: str, width: int
) -> int:
    """A whole number that the address keeps, the nearest in the range where the range has changed."""
    keep_within(key, low, high)
    return st.number_input(label, low, high, default, step, key=key, bind="query-params", help=help, width=width)


def decimals(frame: "pd.DataFrame", digits: int) -> dict[str, Any]:
    """Columns that show their broken numbers with this many decimals, so that they stand under each other."""
    column = st.column_config.NumberColumn(format=f"%.{digits}f")
    return {name: column for name in frame.columns if frame[name].dtype.kind == "f"}


def table_height(frame: "pd.DataFrame") -> Literal["content"] | int:
    """All rows of a table where they are few; pixels where they would push away what follows."""
    return "content" if len(frame) <= _ROWS else 500


def keep_within(key: str, low: float, high: float) -> None:
    """The nearest value that a number's widget can hold, where its state holds another."""
    if key in st.session_state and not low <= st.session_state[key] <= high:
        st.session_state[key] = min(max(st.session_state[key], low), high)


def _listed(names: Iterable[Any]) -> str:
    return ", ".join(str(name)[:60] for name in list(names)[:5])


def equal_faders(method: Method, parents: tuple[str, ...]) -> Faders:
    """A panel with the same coefficient for every parent, to two digits."""
    no = (False,) * len(parents)
    normalise = next((bool(a.default) for a in method.arguments if a.name == "normalize"), False)
    return Faders((round(1 / len(parents), 2),) * len(parents), no, no, None, normalise)


def choose_checkpoints(names: Sequence[str], default: Sequence[str], key: str, help: str) -> list[str]:
    """Which checkpoints are compared, under a button that counts them."""
    keep_valid(key, names, codes=list)
    chosen = st.session_state.get(key, default)
    with st.popover(f"Models ({len(chosen)})", width=130, help="Which models are compared."):
        return st.multiselect("Models", names, list(default), key=key, bind="query-params", help=help)
