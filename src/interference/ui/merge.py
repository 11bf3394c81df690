"""Widgets of the Merge page: what is merged, and the figure that follows."""

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import streamlit as st

from interference.bench import PARENTS, SENTENCES, Faders, View, with_faders
from interference.labels import capitalised, labels
from interference.recipe import BASES, Recipe
from interference.registry import Argument, Knob, Method, methods
from interference.spread import WEIGHT
from interference.ui import state
from interference.ui.address import compare_with_address
from interference.ui.held import draw_held, held_recipe
from interference.ui.live import live_plot
from interference.ui.more import choose_more
from interference.ui.setup import Setup
from interference.ui.sidebar import Bench
from interference.ui.spread import YAML, choose_shape, draw_spread, spread, spread_knobs
from interference.ui.take import draw_take_away
from interference.ui.watch import Watched, place_of, watch
from interference.ui.widgets import (
    choose_listed,
    choose_number,
    coefficient_range,
    draw_panel,
    equal_faders,
    faders,
    keep_faders,
    keep_valid,
    keep_within,
    knob_key,
    panel_key,
    parents_key,
    set_faders,
    write_view,
)
from interference.ui.yaml import draw_yaml

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator


def draw_guide(bench: Bench) -> None:
    """What this page is about in one sentence, and the guided finding: five states of the bench at a click."""
    from interference.guide import guide

    steps = guide(bench.suite)
    if not steps:
        st.markdown("What is left of each language when checkpoints of this suite are merged?")
        return
    titles = {step.title: step for step in steps}
    chosen = st.session_state.get("guide")
    with st.container(gap="xsmall", key="guided"):
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
            else f"{len(bench.suite.together)} models learned one language each, separately. What is left of "
            "each language when they are merged? Drag a slider, or walk through the finding."
        )


def _follow_guide(bench: Bench, titles: dict[str, Any]) -> None:
    if (step := titles.get(st.session_state["guide"])) and (present := state.present()):
        write_view(replace(present.view, recipe=step.recipe, faders=None))
        st.session_state["guide"] = step.title


def choose_setup(bench: Bench) -> Setup:
    """Method, parents, base, controls and number of sentences, in one row."""
    from interference.views import BESIDE

    known = methods()
    keep_valid("controls", BESIDE, codes=list)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = choose_listed(
            "Method",
            list(known),
            default="linear",
            format_func=lambda n: known[n].label,
            key="method",
            width=255,
            help="\n".join(f"- **{m.label}**: {m.caption}" for m in known.values()),
        )
        method = known[name]
        parents = _choose_parents(bench, method)
        base = None if method.base == "none" else _choose_base(bench, method)
        more = choose_more(method)
        controls = st.multiselect(
            "Beside it",
            list(BESIDE),
            format_func=lambda control: BESIDE[control][0],
            key="controls",
            bind="query-params",
            placeholder="nothing more",
            width=190,
            help="\n".join(f"- **{name}**: {caption}" for name, caption in BESIDE.values()),
        )
        most = len(bench.corpus.rows(None))
        sentences = choose_number(
            "Sentences per language",
            1,
            most,
            min(SENTENCES, most),
            50,
            key="sentences",
            width=165,
            help=f"A fixed subset of the {most} test sentences, about equally many of each document.",
        )
    compare_with_address()  # before an estimate takes its time, in which a setting may be changed
    return Setup(method, parents, base, more, tuple(controls), sentences)


def _choose_parents(bench: Bench, method: Method) -> tuple[str, ...]:
    default = bench.suite.together or bench.suite.names
    most, key = min(method.parents[1], PARENTS), parents_key(method)
    keep_valid(key, bench.suite.names, codes=list)
    chosen = st.session_state.get(key, default[:most])
    left_out = len(default) > most  # say that these are not all, for nothing else on the page does
    label = f"Parents ({len(chosen)} of {len(default)})" if left_out else f"Parents ({len(chosen)})"
    with st.popover(label, help="Checkpoints to merge.", width=170 if left_out else 130):
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
                f"All {role}", key=f"{key} {role}", on_click=st.session_state.update, args=({key: list(names)},),
                help=f"Merge the {role} and nothing else.",
            )  # fmt: skip
    return tuple(picked)


def _families(bench: Bench, most: int) -> dict[str, tuple[str, ...]]:
    """Sets of checkpoints worth merging at a click: those of one role, of training runs the last."""
    roles = {role: tuple(c.name for c in bench.suite.last_with_role(role)) for role in ("mono", "branch", "other")}
    return {f"{role} checkpoints": names for role, names in roles.items() if 2 <= len(names) <= most}


def _choose_base(bench: Bench, method: Method) -> str | None:
    first = sorted(bench.suite.checkpoints, key=lambda c: c.role not in ("init", "mixed"))
    options = [*(c.name for c in first), *BASES]
    key, none = ("base", []) if method.needs_base else ("optional_base", [""])
    chosen = choose_listed(
        "Base",
        none + options,
        format_func=lambda b: BASES.get(b, b) or "none",
        key=key,
        width=140,
        help="Task vectors are differences from this. Monolingual models share no base, so the choice is yours."
        + ("" if method.needs_base else " Without one the weights themselves are merged."),
    )
    return chosen or None


@dataclass(frozen=True)
class Chosen:
    """A recipe, the panel it was set with, and whether a slider is being moved just now."""

    recipe: Recipe
    faders: Faders | None
    moving: bool


def choose_recipe(bench: Bench, setup: Setup, top: "DeltaGenerator") -> Chosen | None:
    """The panel of coefficients, or what stands in its place, and the method's own knobs. None if nothing is merged.

    What kind of panel it is, is chosen in the container `top`.
    """
    if held := held_recipe(setup):
        draw_held(bench, held)
        draw_yaml(bench, held.recipe)
        return Chosen(held.recipe, None, False)
    if not setup.complete:
        return None
    with top:
        shape, name = choose_shape(bench, setup.method, setup.parents)
    if shape == YAML:
        chosen = _chosen(bench, setup, faders(setup.method, setup.parents), False)
        draw_yaml(bench, chosen.recipe if chosen else None)
        return chosen
    return _choose_by_sliders(bench, setup, name)


def _choose_by_sliders(bench: Bench, setup: Setup, name: str | None) -> Chosen | None:
    """The editor of the coefficient that is looked at, the panel where it gives the weights, and the other knobs."""
    method, parents = setup.method, setup.parents
    panel, moving = None, False
    if method.weighted and spread(method, WEIGHT, parents) is None:
        panel, moving = choose_faders(bench, method, parents)
    if name and spread(method, name, parents) is not None:
        moving = draw_spread(bench, method, parents, name) or moving
    with st.container(horizontal=True, vertical_alignment="bottom"):
        for argument in method.arguments:
            if argument.name == "normalize" and panel:
                st.session_state[knob_key(method, argument)] = panel.normalise
            elif spread(method, argument.name, parents) is None:
                _choose_value(method, argument)
    return _chosen(bench, setup, panel or faders(method, parents), moving)


def _chosen(bench: Bench, setup: Setup, panel: Faders | None, moving: bool) -> Chosen | None:
    """The recipe that all widgets together say."""
    method, parents = setup.method, setup.parents
    spreads = spread_knobs(method, parents, bench.suite[parents[0]].shapes)
    knobs = {a.name: _value(method, a) for a in method.arguments} | spreads
    weights = knobs.pop(WEIGHT, (1.0,) * len(parents) if method.weighted else ())
    weights = weights if isinstance(weights, tuple) else (weights,) * len(parents)
    recipe = Recipe(method.name, parents, weights, tuple(knobs.items()), setup.base, **asdict(setup.more))
    if WEIGHT in spreads or not method.weighted:
        return Chosen(recipe, None, moving)
    panel = panel or equal_faders(method, parents)
    heard = with_faders(recipe, panel)
    return Chosen(heard, panel, moving) if heard else None


def choose_faders(bench: Bench, method: Method, parents: tuple[str, ...]) -> tuple[Faders, bool]:
    """The panel of coefficients as it stands, its presets above it, and whether a slider is being moved."""
    before = faders(method, parents)
    if before is None:
        before = equal_faders(method, parents)
        set_faders(method, parents, before)
    _draw_presets(method, parents, before)
    help = "What each parent is multiplied with."
    now, moving = draw_panel(
        bench, parents, before.values, coefficient_range(method, parents), key=panel_key(method, parents), help=help
    )
    keep_faders(method, parents, now)
    return now, moving


def _draw_presets(method: Method, parents: tuple[str, ...], before: Faders) -> None:
    from interference.views import presets

    with st.container(horizontal=True, vertical_alignment="bottom"):
        if st.session_state.get("one parent", parents[0]) not in parents:
            st.session_state["one parent"] = parents[0]
        shown = dict(zip(parents, labels(parents), strict=True))
        one = st.selectbox(
            "One parent", parents, format_func=lambda name: shown[name], key="one parent", width=125,
            label_visibility="collapsed", persist_state="session", help="The parent that Only and Favour are about.",
        )  # fmt: skip
        for label, (values, caption) in presets(parents, one).items():
            no = (False,) * len(parents)
            chosen = replace(before, values=tuple(values[p] for p in parents), muted=no, solo=None)
            st.button(label, key=f"preset {label}", help=caption, on_click=set_faders, args=(method, parents, chosen))


def _choose_value(method: Method, argument: Argument) -> None:
    control, key = argument.control, knob_key(method, argument)
    caption = f"{capitalised(control.caption)}."
    if not isinstance(control, Knob):
        st.toggle(argument.name, bool(argument.default), key=key, help=caption, persist_state="session")
        return
    low, high, default, step = (float(x) for x in (control.low, control.high, argument.default, control.step))
    keep_within(key, low, high)
    st.slider(
        argument.name, low, high, default, step, key=key, help=caption, width=220, persist_state="session",
        format=None if step >= 0.01 else "%.1e",
    )  # fmt: skip


def _value(method: Method, argument: Argument) -> Any:
    """What a knob or a switch stands at, whether it is drawn just now or not."""
    value = st.session_state.get(knob_key(method, argument), argument.default)
    if not isinstance(argument.control, Knob):
        return bool(value)
    return int(value) if argument.whole else float(f"{value:.6g}")  # 0.1 + 0.2 is 0.3


def present_view(bench: Bench, chosen: Chosen, setup: Setup) -> View:
    """What the page shows, as a value."""
    return View(
        chosen.recipe, bench.key[0], bench.key[1], bench.chosen, bench.unit, setup.sentences, setup.controls,
        chosen.faders,
    )  # fmt: skip


def watch_merge(bench: Bench, chosen: Chosen, setup: Setup) -> Watched:
    """Losses of the merge, its controls, its parents and its references, as far as they are known."""
    from interference.views import merge_request

    request = merge_request(chosen.recipe, bench.suite, bench.languages, setup.sentences, setup.controls)
    return watch(bench, request, chosen.moving)


def draw_merge(bench: Bench, view: View, watched: Watched) -> None:
    """What is seen in one sentence, the figure with its reading, and what can be taken away."""
    from interference.figures.losses import merge_data, merge_figure_height
    from interference.tables import Glimpse
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
        tick_ms=watched.tick_ms,
        alt="Losses of the merge and its reference points by language",
        place=place_of(bench, view, watched),
    )
    notes = _estimated(watched) if isinstance(watched.found, Glimpse) else watched.found.notes
    grey = "; grey is an untrained model" if frame["role"].eq("untrained").any() else ""
    costs = frame.loc[frame["role"] == "merge", "cost_value"].notna().any()
    bars = "; bars on the right are what the merge costs each language against its reference" if costs else ""
    st.caption(f"{view.recipe.label()}. Lower is better{grey}{bars}. {' '.join(notes)}")
    draw_take_away(bench, view, figure, watched)


def _estimated(watched: Watched) -> tuple[str, ...]:
    """What to say of a glimpse: what is done of the full result, and what it does not show yet."""
    scored = f"; {watched.share:.0%} of it is scored" if watched.share >= 0.01 else ""
    said = f"Estimated from few sentences until the full result is there{scored}."
    return (said, f"Not looked at yet: {', '.join(left)}.") if (left := watched.found.left) else (said,)
