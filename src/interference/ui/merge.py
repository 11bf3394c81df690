"""Widgets of the Merge page."""

from typing import TYPE_CHECKING, Any

import streamlit as st

from interference.ui.shell import EXPORT, Bench, compute, draw_table

if TYPE_CHECKING:
    from interference.recipe import Recipe
    from interference.registry import Argument, Method
    from interference.tables import LossTable

SENTENCES = 150
FAVOURED = 0.55
CONTROLS = {"rescaled": "merge rescaled to its parents' norm", "unigram": "unigram model"}


def introduce_merge(bench: Bench) -> None:
    """One sentence that says what is to be seen."""
    monos = bench.suite.with_role("mono")
    if len(monos) > 1:
        st.markdown(
            f"The equal average of {len(monos)} models that each learned one language alone: compare the merge with "
            "its parents, with an untrained model and, where the suite has them, with branches of one parent."
        )
    else:
        st.markdown("Merge checkpoints of this suite and see what each language pays.")


def choose_recipe(bench: Bench) -> "Recipe | None":
    """Method, base, parents, a slider for each, and the method's own knobs. None while nothing can be merged."""
    from interference.recipe import Recipe
    from interference.registry import methods

    known = methods()
    name = st.selectbox(
        "Method", list(known), index=list(known).index("linear"), format_func=lambda n: known[n].label, key="method", bind="query-params",
        help="How the parents' weights become one model.",
    )  # fmt: skip
    method = known[name]
    st.caption(method.caption)
    parents = _choose_parents(bench, method)
    base = _choose_base(bench, parents) if method.needs_base else None
    if not method.parents[0] <= len(parents) <= method.parents[1]:
        return None
    weights = _choose_weights(method, parents) if method.weighted else ()
    knobs = tuple((argument.name, _choose_value(method, argument)) for argument in method.arguments)
    if method.weighted and not any(weights):
        return None
    return Recipe(name, parents, weights, knobs, base)


def _choose_parents(bench: Bench, method: "Method") -> tuple[str, ...]:
    monos = tuple(c.name for c in bench.suite.with_role("mono"))
    default = monos if len(monos) > 1 else next((g for g in bench.suite.groups if len(g) > 1), bench.suite.names)
    most = min(method.parents[1], 20)
    chosen = st.multiselect(
        "Parents", bench.suite.names, default[:most], max_selections=most, key=f"parents{most if most < 20 else ''}", bind="query-params",
        help=f"Checkpoints to merge, {'exactly two' if most == 2 else 'up to 20'}.",
    )  # fmt: skip
    return tuple(chosen)


def _choose_base(bench: Bench, parents: tuple[str, ...]) -> str:
    from interference.recipe import BASES

    options = [
        *(c.name for c in sorted(bench.suite.checkpoints, key=lambda c: c.role not in ("init", "mixed"))),
        *BASES,
    ]
    return st.selectbox(
        "Base", options, format_func=lambda b: BASES.get(b, b), key="base", bind="query-params",
        help="Task vectors are differences from this. Monolingual models share no base, so any choice here is a choice.",
    )  # fmt: skip


def _choose_weights(method: "Method", parents: tuple[str, ...]) -> tuple[float, ...]:
    low, high = (-1.0, 2.0) if method.needs_base else (0.0, 1.0)
    keys = {parent: f"weight {method.takes} {parent}" for parent in parents}
    equal = dict.fromkeys(parents, round(1 / len(parents), 2))
    for parent, key in keys.items():
        st.session_state.setdefault(key, equal[parent])
    _choose_preset(parents, keys, equal)
    columns = st.columns(2, gap="small")
    for number, parent in enumerate(parents):
        columns[number * 2 // len(parents)].slider(
            parent, low, high, step=0.01, key=keys[parent], help=f"Coefficient of {parent}."
        )
    return tuple(round(float(st.session_state[key]), 4) for key in keys.values())


def _choose_preset(parents: tuple[str, ...], keys: dict[str, str], equal: dict[str, float]) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        one = st.selectbox(
            "One parent", parents, key="one parent", width=170, help="The parent that the buttons beside are about."
        )
        rest = round((1 - FAVOURED) / max(len(parents) - 1, 1), 2)
        presets: list[tuple[str, dict[str, float], str]] = [
            ("Equal", equal, "The same coefficient for every parent."),
            ("Only", {p: float(p == one) for p in parents}, f"All of {one}, nothing of the others."),
            (
                "Favour",
                {p: FAVOURED if p == one else rest for p in parents},
                f"{FAVOURED} of {one}, {rest} of each other.",
            ),
        ]
        for label, values, caption in presets:
            st.button(label, key=f"preset {label}", help=caption, on_click=_set_weights, args=(keys, values))


def _set_weights(keys: dict[str, str], values: dict[str, float]) -> None:
    for parent, key in keys.items():
        st.session_state[key] = values[parent]


def _choose_value(method: "Method", argument: "Argument") -> Any:
    from interference.registry import Knob

    control, key = argument.control, f"{method.name} {argument.name}"
    if not isinstance(control, Knob):
        return st.toggle(argument.name, bool(argument.default), key=key, help=control.caption.capitalize() + ".")
    value = st.slider(
        argument.name,
        float(control.low),
        float(control.high),
        float(argument.default),
        float(control.step),
        key=key,
        help=control.caption.capitalize() + ".",
    )
    return round(value, 4)


def choose_controls(bench: Bench) -> tuple[tuple[str, ...], int]:
    """Controls to draw beside the merge, and how many sentences of each language to score."""
    most = len(bench.corpus.rows(None))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.pills("Controls", list(CONTROLS), selection_mode="multi", format_func=CONTROLS.get, key="controls", bind="query-params",
                          help="What shrinking norms or word counts alone would give.")  # fmt: skip
        sentences = st.number_input("Sentences per language", 1, most, min(SENTENCES, most), 50, key="sentences", bind="query-params", width=180,
                                    help=f"A fixed subset of the {most} test sentences, spread over all documents.")  # fmt: skip
    return tuple(chosen), int(sentences)


def compute_merge(bench: Bench, recipe: "Recipe", controls: tuple[str, ...], sentences: int) -> "LossTable":
    """Losses of the merge, its controls, its parents and its references."""
    from interference.views import merge_request

    request = merge_request(recipe, bench.suite, bench.languages, sentences, controls)
    return compute(bench, "merge", request, "Merging and scoring")


def draw_merge(bench: Bench, recipe: "Recipe", result: "LossTable", sentences: int) -> None:
    """What is seen in one sentence, the figure with its reading, and what can be taken away."""
    from interference.figures.losses import merge_figure
    from interference.views import merge_sentence, merge_view

    rows = bench.corpus.rows(sentences)
    frame = merge_view(result, recipe, bench.suite, rows, bench.unit)
    st.markdown(merge_sentence(frame, bench.unit))
    st.plotly_chart(
        merge_figure(frame, bench.unit),
        config=EXPORT,
        key="merge_figure",
        alt="Losses of the merge and its reference points by language",
    )
    st.caption(f"{recipe.label()}. Lower is better; grey is an untrained model, bars on the right are what the merge costs each language "
               f"against its reference. {' '.join(result.notes)}")  # fmt: skip
    with st.container(horizontal=True):
        draw_table(result, "merge")
        st.download_button("Recipe as YAML", recipe.to_yaml(), "recipe.yaml", "text/yaml", on_click="ignore", icon=":material/download:",
                           key="merge_recipe", help="For mergekit-yaml, or `interference merge recipe.yaml --out DIR`.")  # fmt: skip
