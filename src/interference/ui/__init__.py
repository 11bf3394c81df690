"""The dashboard's shell and widgets: the only part of the package that imports streamlit.

Nothing heavy is imported at the top: the page's frame is drawn before torch and transformers are loaded.
"""

from interference.ui.accuracy import choose_pairs, compute_accuracy, draw_accuracy
from interference.ui.address import stop_page
from interference.ui.causal import choose_trial, compute_causal, draw_causal
from interference.ui.compare import choose_comparison, choose_families, compute_comparison, draw_comparison
from interference.ui.export import draw_export
from interference.ui.findings import (
    choose_findings,
    draw_add,
    draw_blocks,
    draw_findings_bar,
    draw_no_findings,
    draw_report,
)
from interference.ui.held import place_recipe
from interference.ui.landscape import choose_path_view, draw_path_view
from interference.ui.merge import (
    choose_recipe,
    choose_setup,
    draw_guide,
    draw_merge,
    present_view,
    watch_merge,
)
from interference.ui.models import choose_models, draw_download, draw_plan, draw_progress
from interference.ui.path import choose_walk, compute_path, draw_path
from interference.ui.pins import draw_pins, draw_toolbar, pin_if_asked, rerun_if_asked
from interference.ui.predict import choose_prediction, compute_prediction, draw_prediction
from interference.ui.present import draw_presentation, presented
from interference.ui.shell import ensure_shell, run, serve
from interference.ui.shown import user_errors
from interference.ui.sidebar import open_bench, open_sidebar
from interference.ui.similarity import choose_similarity, draw_similarity
from interference.ui.suite import choose_measure, compute_suite, draw_checkpoints, draw_losses
from interference.ui.tasks import choose_kind, choose_tasks, compute_tasks, draw_tasks
from interference.ui.text import draw_said, draw_sentences
from interference.ui.trajectory import choose_course, compute_trajectory, draw_trajectory
from interference.ui.weights import choose_survey, compute_conflict, draw_conflict
from interference.ui.widgets import go_if_asked, remember
