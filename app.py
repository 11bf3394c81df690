"""The list of pages, nothing else."""

from interference import ui

ui.run()
