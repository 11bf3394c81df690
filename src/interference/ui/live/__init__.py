"""Two components that live in the browser: sliders heard while they move, and a plot that is drawn in place."""

from interference.ui.live.panel import Panel, coefficient_panel, move_panel
from interference.ui.live.plot import Place, Plot, Point, live_plot, load_ahead

__all__ = ["Panel", "Place", "Plot", "Point", "coefficient_panel", "live_plot", "load_ahead", "move_panel"]
