"""The dashboard's shell and widgets: the only part of the package that imports streamlit.

Nothing heavy is imported at the top: the page's frame is drawn before torch and transformers are loaded.
"""

from interference.ui.merge import choose_recipe, choose_setup, compute_merge, draw_merge, introduce_merge
from interference.ui.shell import Bench, ensure_shell, open_bench, run, serve, user_errors
from interference.ui.suite import choose_measure, compute_suite, draw_checkpoints, draw_losses
from interference.ui.text import draw_said, draw_sentences

__all__ = [
    "Bench",
    "choose_measure",
    "choose_recipe",
    "choose_setup",
    "compute_merge",
    "compute_suite",
    "draw_checkpoints",
    "draw_losses",
    "draw_merge",
    "draw_said",
    "draw_sentences",
    "ensure_shell",
    "introduce_merge",
    "open_bench",
    "run",
    "serve",
    "user_errors",
]
