"""Widgets of the Merge page: what is merged, and the figure that follows."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import streamlit as st

from interference.ui import state
from interference.ui.live import coefficient_panel, live_plot
from interference.ui.shell import Bench
from interference.ui.take import draw_take_away
from interference.ui.watch import Watched, watch
from interference.ui.widgets import (
    faders,
    faders_of,
    keep_faders,
    keep_valid,
    keep_within,
    panel_key,
    parents_key,
    set_faders,
    write_view,
)

if TYPE_CHECKING:
    from interference.bench import Faders, View
    from interference.recipe import Recipe
    from interference.registry import Argument, Method

CONTROLS = {"rescaled": "rescaled merge", "unigram": "unigram model"}
_THROTTLE_MS = 60


def draw_guide(bench: Bench) -> None:
    """What this page is about in one sentence, and the guided finding: five states of the bench at a click."""
    from interference.guide import guide

    steps = guide(bench.suite)
    if not steps:
        st.markdown("What is left of each language when checkpoints of this suite are merged?")
        return
    titles = {step.title: step for step in steps}
    chosen = st.session_state.get("guide")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.segmented_control(
            "Guided finding",
            list(titles),
            format_func=lambda title: f"{list(titles).index(title) + 1} · {title}",
            key="guide",
            on_change=_follow_guide,
            args=(bench, titles),
            label_visibility="collapsed",
            help="Five states of the bench. Change any of them.",
        )
        st.caption(
            titles[chosen].sentence
            if chosen in titles
            else f"{len(bench.suite.with_role('mono'))} models learned one language each, separately. What is left of "
            "each language when they are merged? Drag a slider, or walk through the finding.",
            width=370,
        )


def _follow_guide(bench: Bench, titles: dict[str, Any]) -> None:
    from dataclasses import replace

    if (step := titles.get(st.session_state["guide"])) and (present := state.present()):
        write_view(replace(present.view, recipe=step.recipe, faders=None))


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
    from interference.bench import SENTENCES
    from interference.registry import methods

    known = methods()
    keep_valid("method", known)
    keep_valid("controls", CONTROLS)
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
        keep_within("sentences", 1, most)
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
    from interference.bench import PARENTS

    monos = tuple(c.name for c in bench.suite.with_role("mono"))
    default = monos if len(monos) > 1 else next((g for g in bench.suite.groups if len(g) > 1), bench.suite.names)
    most, key = min(method.parents[1], PARENTS), parents_key(method)
    keep_valid(key, bench.suite.names)
    chosen = st.session_state.get(key, default[:most])
    with st.popover(f"Parents ({len(chosen)})", help="Checkpoints to merge.", width=130):
        picked = st.multiselect(
            "Parents",
            bench.suite.names,
            default[:most],
            max_selections=most,
            key=key,
            bind="query-params",
            help={1: "Exactly one.", 2: "Exactly two; the merge starts at the first."}.get(most, f"Up to {most}."),
        )
        for role, names in _families(bench, most).items():
            st.button(
                f"All {role}", key=f"{key} {role}", on_click=_set, args=({key: list(names)},),
                help=f"Merge the {role} and nothing else.",
            )  # fmt: skip
    return tuple(picked)


def _families(bench: Bench, most: int) -> dict[str, tuple[str, ...]]:
    """Sets of checkpoints worth merging at a click: those of one role."""
    roles = {role: tuple(c.name for c in bench.suite.with_role(role)) for role in ("mono", "branch", "other")}
    return {f"{role} checkpoints": names for role, names in roles.items() if 2 <= len(names) <= most}


def _choose_base(bench: Bench) -> str:
    from interference.recipe import BASES

    first = sorted(bench.suite.checkpoints, key=lambda c: c.role not in ("init", "mixed"))
    options = [*(c.name for c in first), *BASES]
    keep_valid("base", options)
    return st.selectbox(
        "Base",
        options,
        format_func=lambda b: BASES.get(b, b),
        key="base",
        bind="query-params",
        width=140,
        help="Task vectors are differences from this. Monolingual models share no base, so the choice is yours.",
    )


@dataclass(frozen=True)
class Chosen:
    """A recipe, the panel it was set with, and whether a slider is being moved just now."""

    recipe: "Recipe"
    faders: "Faders | None"
    moving: bool


def choose_recipe(bench: Bench, setup: Setup) -> Chosen | None:
    """The panel of coefficients and the method's own knobs. None while nothing can be merged."""
    from interference.recipe import Recipe

    if not setup.complete:
        return None
    method = setup.method
    panel, moving = _choose_faders(bench, method, setup.parents) if method.weighted else (None, False)
    knobs = {}
    if panel and "normalize" in (names := [a.name for a in method.arguments]):
        knobs["normalize"] = panel.normalise
    with st.container(horizontal=True, vertical_alignment="bottom"):
        knobs |= {a.name: _choose_value(method, a) for a in method.arguments if a.name not in knobs}
    weights = panel.effective if panel else ()
    if panel and not any(weights):
        return None
    if panel and panel.normalise and "normalize" not in names:
        weights = tuple(round(weight / sum(weights), 4) for weight in weights)
    return Chosen(Recipe(method.name, setup.parents, weights, tuple(knobs.items()), setup.base), panel, moving)


def _choose_faders(bench: Bench, method: "Method", parents: tuple[str, ...]) -> "tuple[Faders, bool]":
    from interference.bench import Faders
    from interference.languages import language_name
    from interference.recipe import Recipe

    low, high = (-1.0, 2.0) if method.needs_base else (0.0, 1.0)
    before = faders(method, parents)
    if before is None:
        equal = (round(1 / len(parents), 2),) * len(parents)
        before = faders_of(Recipe(method.name, parents, equal, base="@zero" if method.needs_base else None))
        set_faders(method, parents, before)
    _draw_presets(method, parents, before)
    languages = [bench.suite[parent].language for parent in parents]
    panel = coefficient_panel(
        parents,
        before.values,
        low=low,
        high=high,
        names=[language_name(language) if language else "" for language in languages],
        label="Coefficients",
        help="What each parent is multiplied with.",
        key=panel_key(method, parents),
        throttle_ms=_THROTTLE_MS,
    )
    now = Faders(panel.values, panel.locked, panel.muted, panel.solo, panel.normalise, panel.share)
    keep_faders(method, parents, now)
    return now, panel.moving


def _draw_presets(method: "Method", parents: tuple[str, ...], before: "Faders") -> None:
    from dataclasses import replace

    from interference.views import presets

    with st.container(horizontal=True, vertical_alignment="bottom"):
        keep_valid("one parent", parents)
        one = st.selectbox(
            "One parent", parents, key="one parent", width=125, label_visibility="collapsed", persist_state="session",
            help="The parent that Only and Favour are about.",
        )  # fmt: skip
        for label, (values, caption) in presets(parents, one).items():
            no = (False,) * len(parents)
            chosen = replace(before, values=tuple(values[p] for p in parents), muted=no, solo=None)
            st.button(label, key=f"preset {label}", help=caption, on_click=set_faders, args=(method, parents, chosen))


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
    keep_within(key, low, high)
    value = st.slider(
        argument.name, low, high, default, step, key=key, help=caption, width=220, persist_state="session",
        format=None if step >= 0.01 else "%.1e",
    )  # fmt: skip
    return int(value) if isinstance(argument.default, int) else float(f"{value:.6g}")  # 0.1 + 0.2 is 0.3


def present_view(bench: Bench, chosen: Chosen, setup: Setup) -> "View":
    """What the page shows, as a value."""
    from interference.bench import View

    chosen_languages = bench.languages if set(bench.languages) != set(bench.corpus.languages) else ()
    return View(
        chosen.recipe, bench.key[0], bench.key[1], chosen_languages, bench.unit, setup.sentences, setup.controls,
        chosen.faders,
    )  # fmt: skip


def remember(view: "View") -> None:
    """Make a view that has come to rest the present one."""
    from dataclasses import replace

    from interference.bench import State

    before = state.present()
    state.move(replace(before, view=view) if before else State(view))


def watch_merge(bench: Bench, chosen: Chosen, setup: Setup) -> Watched:
    """Losses of the merge, its controls, its parents and its references, as far as they are known."""
    from interference.views import merge_request

    request = merge_request(chosen.recipe, bench.suite, bench.languages, setup.sentences, setup.controls)
    return watch(bench, request, chosen.moving)


def draw_merge(bench: Bench, view: "View", watched: Watched) -> None:
    """What is seen in one sentence, the figure with its reading, and what can be taken away."""
    from interference.figures.losses import merge_data, merge_figure_height
    from interference.views import merge_sentence, merge_view

    rows = bench.corpus.rows(view.sentences)
    frame = merge_view(watched.found.in_unit(bench.unit), view.recipe, bench.suite, rows)
    st.markdown(merge_sentence(frame, bench.unit))
    figure = merge_data(frame, bench.unit, view.recipe.label(), len(rows))
    live_plot(
        figure,
        key="merge_figure",
        height=merge_figure_height(len(bench.languages)),
        pending=watched.pending,
        alt="Losses of the merge and its reference points by language",
    )
    notes = getattr(watched.found, "notes", ("Estimated from few sentences until the full result is there.",))
    st.caption(
        f"{view.recipe.label()}. Lower is better; grey is an untrained model, bars on the right are what the merge "
        f"costs each language against its reference. {' '.join(notes)}"
    )
    draw_take_away(bench, view, figure, watched)
