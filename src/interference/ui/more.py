"""What is done to a merge besides its method: post-steps, seed and rounding, in one popover."""

from dataclasses import dataclass

import streamlit as st

from interference.recipe import DTYPES, Recipe
from interference.registry import Method, post_steps

_KEYS = {"post": (), "seed": 0, "dtype": None, "out_dtype": None}  # in the session, by their names in a recipe
_HELP = {
    "dtype": "What the parents' weights are rounded to before they are merged in float32, as mergekit's dtype does.",
    "out_dtype": "What the merged weights are rounded to before they are scored and written.",
}


@dataclass(frozen=True)
class More:
    """The fields of a recipe that this popover holds."""

    post: tuple[str, ...] = ()
    seed: int = 0
    dtype: str | None = None
    out_dtype: str | None = None


def more_of(recipe: Recipe) -> More:
    return More(recipe.post, recipe.seed, recipe.dtype, recipe.out_dtype)


def set_more(more: More) -> None:
    """Have the popover stand so."""
    for name in _KEYS:
        st.session_state[f"more {name}"] = getattr(more, name)


def choose_more(method: Method) -> More:
    """Post-steps in the order in which they were switched on, and what else few recipes need."""
    now = More(**{name: st.session_state.get(f"more {name}", default) for name, default in _KEYS.items()})
    with st.popover(  # another label would close it at every switch
        "Post-steps", key="more_open", on_change="rerun",
        help="What is done to the merge afterwards, and how it is rounded.",
    ) as popover:  # fmt: skip
        if popover.open:
            with st.container(width=360):
                _draw(method, now)
    return now


def _draw(method: Method, now: More) -> None:
    for name, step in post_steps().items():
        key = f"post_{name}"
        st.session_state[key] = name in now.post
        st.toggle(name, key=key, help=step.caption, on_change=_switch, args=(name,))
        st.caption(step.label.capitalize() if step.label[0].islower() else step.label)
    if len(now.post) > 1:
        st.caption(f"In this order: {', '.join(now.post)}.")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        for name, label in (("dtype", "Parents rounded to"), ("out_dtype", "Merge rounded to")):
            key = f"{name}_input"
            st.session_state[key] = getattr(now, name) or ""
            st.selectbox(
                label, ["", *DTYPES], key=key, format_func=lambda d: d or "as stored", width=150, help=_HELP[name],
                on_change=_copy, args=(name, key),
            )  # fmt: skip
        if method.seeded:
            st.session_state["seed_input"] = now.seed
            st.number_input(
                "Seed", 0, 10**18 - 1, key="seed_input", width=110, on_change=_copy, args=("seed", "seed_input"),
                help="Of the random numbers that decide which entries are dropped.",
            )  # fmt: skip


def _switch(name: str) -> None:
    post: tuple[str, ...] = st.session_state.get("more post", ())
    rest = tuple(step for step in post if step != name)
    st.session_state["more post"] = (*rest, name) if st.session_state[f"post_{name}"] else rest


def _copy(name: str, key: str) -> None:
    st.session_state[f"more {name}"] = st.session_state[key] or _KEYS[name]
