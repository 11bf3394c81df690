"""Widgets of the Merge page."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import streamlit as st

from interference.ui.shell import EXPORT, Bench, compute, draw_table

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

    from interference.recipe import Recipe
    from interference.registry import Argument, Method
    from interference.tables import LossTable

SENTENCES = 150
CONTROLS = {"rescaled": "rescaled merge", "unigram": "unigram model"}


def introduce_merge(bench: Bench) -> None:
    """One sentence that says what is to be seen."""
    monos = bench.suite.with_role("mono")
    if len(monos) > 1:
        st.markdown(
            f"{len(monos)} models learned one language each, separately. "
            "What is left of each language when they are merged?"
        )
    else:
        st.markdown("What is left of each language when checkpoints of this suite are merged?")


@dataclass(frozen=True)
class Setup:
    """The row above the sliders: what is merged, how, and what is drawn beside it."""

    method: "Method"
    parents: tuple[str, ...]
    base: str | None
    controls: tuple[str, ...]
    sentences: int

    @property
    def complete(self) -> bool:
        least, most = self.method.parents
        return least <= len(self.parents) <= most

    @property
    def missing(self) -> str:
        """What the user has still to do before there is a merge."""
        if self.complete:
            return "Give at least one parent a coefficient other than zero."
        least, most = self.method.parents
        wanted = f"exactly {least}" if least == most else f"at least {least}"
        return f"{self.method.label} merges {wanted} parents, {len(self.parents)} chosen: choose them under Parents."


def choose_setup(bench: Bench) -> Setup:
    """Method, parents, base, controls and number of sentences, in one row."""
    from interference.registry import methods

    known = methods()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.selectbox(
            "Method",
            list(known),
            index=list(known).index("linear"),
            format_func=lambda n: known[n].label,
            key="method",
            bind="query-params",
            width=255,
            help="\n".join(f"- **{m.label}**: {m.caption}" for m in known.values()),
        )
        method = known[name]
        parents = _choose_parents(bench, method)
        base = _choose_base(bench) if method.needs_base else None
        controls = st.pills(
            "Controls",
            list(CONTROLS),
            selection_mode="multi",
            format_func=lambda control: CONTROLS[control],
            key="controls",
            bind="query-params",
            help="What shrinking norms or word counts alone would give: the merge with every tensor rescaled to its "
            "parents' mean norm, and a unigram model of each language.",
        )
        most = len(bench.corpus.rows(None))
        sentences = st.number_input(
            "Sentences per language",
            1,
            most,
            min(SENTENCES, most),
            50,
            key="sentences",
            bind="query-params",
            width=165,
            help=f"A fixed subset of the {most} test sentences, spread over all documents.",
        )
    return Setup(method, parents, base, tuple(controls), int(sentences))


def _choose_parents(bench: Bench, method: "Method") -> tuple[str, ...]:
    monos = tuple(c.name for c in bench.suite.with_role("mono"))
    default = monos if len(monos) > 1 else next((g for g in bench.suite.groups if len(g) > 1), bench.suite.names)
    most = min(method.parents[1], 20)
    key = "parents" if most == 20 else f"parents{most}"
    chosen = st.session_state.get(key, default[:most])
    with st.popover(f"Parents ({len(chosen)})", help="Checkpoints to merge.", width=130):
        picked = st.multiselect(
            "Parents",
            bench.suite.names,
            default[:most],
            max_selections=most,
            key=key,
            bind="query-params",
            help="Exactly two; the merge starts at the first." if most == 2 else "Up to 20 checkpoints.",
        )
        for role, names in _families(bench, most).items():
            st.button(f"All {role}", key=f"{key} {role}", on_click=_set, args=({key: list(names)},))
    return tuple(picked)


def _families(bench: Bench, most: int) -> dict[str, tuple[str, ...]]:
    """Sets of checkpoints worth merging at a click: those of one role."""
    roles = {role: tuple(c.name for c in bench.suite.with_role(role)) for role in ("mono", "branch", "other")}
    return {f"{role} checkpoints": names for role, names in roles.items() if 2 <= len(names) <= most}


def _choose_base(bench: Bench) -> str:
    from interference.recipe import BASES

    first = sorted(bench.suite.checkpoints, key=lambda c: c.role not in ("init", "mixed"))
    return st.selectbox(
        "Base",
        [*(c.name for c in first), *BASES],
        format_func=lambda b: BASES.get(b, b),
        key="base",
        bind="query-params",
        width=140,
        help="Task vectors are differences from this. Monolingual models share no base, so the choice is yours.",
    )


def choose_recipe(setup: Setup) -> "Recipe | None":
    """A slider for each parent and the method's own knobs. None while nothing can be merged."""
    from interference.recipe import Recipe

    if not setup.complete:
        return None
    method = setup.method
    weights = _choose_weights(method, setup.parents) if method.weighted else ()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        knobs = tuple((argument.name, _choose_value(method, argument)) for argument in method.arguments)
    if method.weighted and not any(weights):
        return None
    return Recipe(method.name, setup.parents, weights, knobs, setup.base)


def _choose_weights(method: "Method", parents: tuple[str, ...]) -> tuple[float, ...]:
    from interference.views import presets

    low, high = (-1.0, 2.0) if method.needs_base else (0.0, 1.0)
    keys = {parent: f"weight {method.takes} {parent}" for parent in parents}
    for parent, value in presets(parents, parents[0])["Equal"][0].items():
        st.session_state.setdefault(keys[parent], value)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        one = st.selectbox(
            "One parent", parents, key="one parent", width=125, label_visibility="collapsed", persist_state="session",
            help="The parent that Only and Favour are about.",
        )  # fmt: skip
        for label, (values, caption) in presets(parents, one).items():
            chosen = {keys[parent]: value for parent, value in values.items()}
            st.button(label, key=f"preset {label}", help=caption, on_click=_set, args=(chosen,))
    columns = st.columns(2, gap="small")
    for number, parent in enumerate(parents):
        column = columns[number * 2 // len(parents)] if len(parents) > 1 else columns[0]
        column.slider(parent, low, high, step=0.01, key=keys[parent], persist_state="session")
    return tuple(round(float(st.session_state[key]), 4) for key in keys.values())


def _set(values: dict[str, Any]) -> None:
    for key, value in values.items():
        st.session_state[key] = value


def _choose_value(method: "Method", argument: "Argument") -> Any:
    from interference.registry import Knob

    control, key = argument.control, f"{method.name} {argument.name}"
    caption = control.caption.capitalize() + "."
    if not isinstance(control, Knob):
        return st.toggle(argument.name, bool(argument.default), key=key, help=caption, persist_state="session")
    low, high, default, step = (float(x) for x in (control.low, control.high, argument.default, control.step))
    return round(
        st.slider(argument.name, low, high, default, step, key=key, help=caption, width=220, persist_state="session"), 4
    )


def compute_merge(bench: Bench, recipe: "Recipe", setup: Setup, place: "DeltaGenerator") -> "LossTable":
    """Losses of the merge, its controls, its parents and its references; progress shows in `place`."""
    from interference.views import merge_request

    request = merge_request(recipe, bench.suite, bench.languages, setup.sentences, setup.controls)
    return compute(bench, request, "Merging and scoring", place)


def draw_merge(bench: Bench, recipe: "Recipe", result: "LossTable", setup: Setup) -> None:
    """What is seen in one sentence, the figure with its reading, and what can be taken away."""
    from interference.figures.losses import merge_figure
    from interference.views import merge_sentence, merge_view

    rows = bench.corpus.rows(setup.sentences)
    frame = merge_view(result, recipe, bench.suite, rows, bench.unit)
    st.markdown(merge_sentence(frame, bench.unit))
    st.plotly_chart(
        merge_figure(frame, bench.unit, recipe.label()),
        config=EXPORT,
        key="merge_figure",
        alt="Losses of the merge and its reference points by language",
    )
    st.caption(
        f"{recipe.label()}. Lower is better; grey is an untrained model, bars on the right are what the merge costs "
        f"each language against its reference. {' '.join(result.notes)}"
    )
    with st.container(horizontal=True):
        draw_table(result, "merge", recipe=recipe.to_yaml())
        st.download_button(
            "Recipe as YAML",
            recipe.to_yaml(),
            "recipe.yaml",
            "text/yaml",
            on_click="ignore",
            icon=":material/download:",
            key="merge_recipe",
            help="For mergekit-yaml, or `interference merge recipe.yaml --out DIR`.",
        )
