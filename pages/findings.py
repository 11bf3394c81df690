"""Findings: what was found, in an order and with words of your own, to be shown and handed on."""

from interference import ui

ui.ensure_shell()

if ui.presented():
    ui.draw_presentation(ui.open_bench())
else:
    bench = ui.open_bench()
    with ui.user_errors():
        name = ui.choose_findings()
        if name is None:
            ui.draw_no_findings()
        else:
            take_away = ui.draw_findings_bar(name)
            outcomes = ui.draw_blocks(bench)
            ui.draw_add()
            with take_away:
                ui.draw_report(outcomes)
