"""Widgets of the Similarity page: what is compared and by which measure, and a view of it."""

from interference.ui.sidebar import Bench
from interference.ui.similarity.choose import States, choose_similarity
from interference.ui.similarity.merge import draw_merge
from interference.ui.similarity.sentences import draw_sentences
from interference.ui.similarity.views import draw_conditions, draw_depth, draw_languages, draw_layers, draw_models
from interference.ui.watch import leave

_DRAW = {
    "Models": draw_models,
    "Conditions": draw_conditions,
    "Depth": draw_depth,
    "Layers": draw_layers,
    "Languages": draw_languages,
    "Merge": draw_merge,
    "Sentences": draw_sentences,
}


def draw_similarity(bench: Bench, states: States) -> None:
    """The chosen view, which alone is computed."""
    if states.view != "Merge":
        leave()
    _DRAW[states.view](bench, states)
