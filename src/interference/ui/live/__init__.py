"""Components that live in the browser: sliders heard while they move, a plot drawn in place, and a choice that greys
out what does not apply."""

from interference.ui.live.choice import Group, grouped_choice
from interference.ui.live.panel import coefficient_panel, move_panel
from interference.ui.live.plot import Place, Point, keep_history, live_plot, load_ahead
