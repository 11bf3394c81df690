"""Every page through Streamlit's own test runner: it draws, answers its widgets, and survives bad input."""

import json
import shutil
import threading
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from interference.bench import State, View, to_link
from interference.errors import UserError
from interference.evaluate import Evaluator
from interference.guide import opening
from interference.recipe import Recipe
from interference.registry import methods
from interference.suite import Suite, open_suite
from interference.ui import links, running
from interference.views import merge_sentence

ROOT = Path(__file__).parents[1]
# Findings draw nothing until some are kept: test_findings_page.py. Models draw no figure: test_models_page.py.
# Predictions take five languages: test_predict_page.py. Trajectories need several steps: test_trajectory.py.
_OTHERS = ("findings", "models", "predict", "trajectory")
PAGES = sorted(f"pages/{page.name}" for page in (ROOT / "pages").glob("*.py") if page.stem not in _OTHERS)


def open_page(page: str = "pages/merge.py", **query: str | list[str]) -> AppTest:
    """A page as a new session sees it. Without the second run a page is not rendered at all."""
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=240)
    for key, value in query.items():
        app.query_params[key] = value
    return settled(app.run().switch_page(page).run())


def settled(app: AppTest) -> AppTest:
    """The page when all results are in: in a browser the figure itself asks for them."""
    for _ in range(1000):
        if not any(plot["pending"] for plot in live_plots(app)):
            return app
        time.sleep(0.05)
        app.run()
    raise TimeoutError("the full result never came")


def live_plots(app: AppTest) -> list[dict]:
    return [json.loads(data) for data in sent(app, "interference.live_plot")]


def sent(app: AppTest, component: str) -> list[bytes | str]:
    """What each live component of a kind was given."""
    parts = [part.proto for part in app.get("bidi_component") if part.proto.component_name == component]
    return [part.bytes or part.json for part in parts]


def figures(app: AppTest) -> list[str]:
    live = [json.dumps(plot["figure"], ensure_ascii=False) for plot in live_plots(settled(app))]
    return live + [chart.proto.spec for chart in app.get("plotly_chart")]


def panel(app: AppTest) -> dict:
    """What the panel of coefficients is set to."""
    return json.loads(sent(app, "interference.coefficient_panel")[0])


def send(app: AppTest, key: str = "panel tensors 2", **changes) -> AppTest:
    """The panel as a browser reports it after these changes."""
    shown = panel(app)
    value = shown["state"] | {"version": shown["version"], "moving": False, "seq": 0} | changes
    app.session_state[key] = {"value": value}
    return app.run()


def as_seen(app: AppTest):
    """What a browser shows now, with what its fields say, for a click on it later."""
    for field in (*app.text_input, *app.text_area):
        field.set_value(field.value)
    return app._tree


def button(app: AppTest, label: str):
    return next(b for b in app.button if b.label == label)


@pytest.mark.parametrize("page", PAGES)
def test_page_draws(own_suite, page):
    """Title, a figure with numbers (of the Text page in HTML, of Compare when asked for), no error, no exception."""
    app = open_page(page)
    assert not app.exception
    assert not app.error
    assert app.title[0].value
    assert len(figures(app)) == (page not in ("pages/text.py", "pages/compare.py"))


def test_the_table_of_a_path_says_its_unit(own_suite):
    app = open_page("pages/path.py", points="3")
    app.selectbox(key="unit").set_value("bits per byte").run()
    assert any("The table is in bits per byte" in caption.value for caption in app.caption)


def _luminance(colour: str) -> float:
    """Of WCAG, 0 for black and 1 for white."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_white_on_a_primary_button_can_be_read(scheme):
    theme = tomllib.loads((ROOT / ".streamlit/config.toml").read_text())["theme"]
    assert 1.05 / (_luminance(theme[scheme]["primaryColor"]) + 0.05) > 3.5


def test_a_broken_page_is_noticed(own_suite, tmp_path):
    """The loop above can fail: a page that divides by zero raises in the runner."""
    (tmp_path / "app.py").write_text("import streamlit as st\nst.navigation([st.Page('broken.py')]).run()\n")
    (tmp_path / "broken.py").write_text("1 / 0\n")
    assert AppTest.from_file(str(tmp_path / "app.py"), default_timeout=120).run().exception


def test_moving_a_slider_changes_the_figure(own_suite):
    """Another coefficient, another loss; the same coefficient, the same figure."""
    app = open_page()
    before = figures(app)
    send(app, values=[0.9, 0.5])
    assert not app.exception
    assert figures(app) != before
    send(app, values=[0.5, 0.5])
    assert figures(app) == before


def test_a_moving_slider_shows_a_preview_and_the_full_result_follows_at_rest(own_suite, monkeypatch):
    monkeypatch.setattr("interference.glimpses._SECONDS", 0)  # as few sentences as on a slow machine
    app = open_page(sentences="11")
    send(app, values=[0.813, 0.2], moving=True)
    assert "preview from" in live_plots(app)[0]["figure"]["layout"]["title"]["text"]
    assert not live_plots(app)[0]["pending"], "nothing is computed for a position that is only passed"
    send(app, values=[0.813, 0.2])
    assert "preview" not in figures(app)[0]


def test_what_is_looked_at_stays_while_the_engine_is_at_a_long_batch(own_suite, monkeypatch):
    """A figure that is asked for again does not wait for it, and the full result comes afterwards."""
    monkeypatch.setattr("interference.glimpses._SECONDS", 0)
    app, let_go = open_page(sentences="11"), threading.Event()
    send(app, values=[0.713, 0.2], moving=True)
    preview = live_plots(app)[0]["figure"]
    batch = running.engine().submit("another", "batch", lambda job: let_go.wait(600), urgent=True)
    try:
        send(app, values=[0.713, 0.2])
        assert not batch.future.done()
        assert live_plots(app)[0]["figure"] == preview
        assert live_plots(app)[0]["pending"]
    finally:
        let_go.set()
    assert "preview" not in figures(app)[0]


def test_presets_set_every_slider(own_suite):
    """Only and Equal; a merge of one parent alone costs that parent's language nothing."""
    app = open_page()
    button(app, "Only").click().run()
    assert panel(app)["state"]["values"] == [1.0, 0.0]
    button(app, "Equal").click().run()
    assert panel(app)["state"]["values"] == [0.5, 0.5]


@pytest.mark.parametrize(
    "value",
    [
        None, 3, "x", {}, {"values": [1, 2]},
        {"values": [9.0, 0.5], "lock": [False] * 2, "mute": [False] * 2},
        {"values": [float("nan"), 0.5], "lock": [False] * 2, "mute": [False] * 2},
        {"values": [0.1, 0.2, 0.3], "lock": [False] * 3, "mute": [False] * 3},
        {"values": [0.1, 0.2], "lock": [False] * 2, "mute": [False] * 2, "version": 7},
    ],
)  # fmt: skip
def test_what_no_panel_can_send_is_not_taken(own_suite, value):
    app = open_page()
    before = figures(app)
    if isinstance(value, dict):
        value = {"version": panel(app)["version"]} | value
    app.session_state["panel tensors 2"] = {"value": value}
    app.run()
    assert not app.exception
    assert figures(app) == before


def test_mute_and_solo_count_in_the_merge_and_keep_the_values(own_suite):
    app = open_page()
    send(app, mute=[False, True])
    muted = figures(app)
    assert panel(app)["state"]["values"] == [0.5, 0.5]
    send(app, mute=[False, False], solo=0)
    assert figures(app) == muted
    send(app, mute=[False, False], solo=None)
    assert figures(app) != muted


def test_a_merge_that_fails_is_one_move_that_can_be_taken_back(own_suite, monkeypatch):
    """It is kept and can be pinned and made again as any other."""

    def wanted(self, request, plain=Evaluator.wanted):
        if any(getattr(model, "weights", None) == (0.2, 0.7) for _, model in request.models):
            raise UserError("It overflows.")
        return plain(self, request)

    monkeypatch.setattr(Evaluator, "wanted", wanted)
    app = open_page()
    settled(send(app, values=[0.4, 0.5]))
    before = figures(app)
    send(app, values=[0.2, 0.7])
    assert [error.value for error in app.error] == ["It overflows."]
    button(app, "Undo").click().run()
    assert (figures(settled(app)), panel(app)["state"]["values"]) == (before, [0.4, 0.5])
    button(app, "Redo").click().run()
    assert app.error
    button(app, "Pin").click().run()
    assert not app.exception
    button(app, "Undo").click().run()
    button(app, "Undo").click().run()
    assert not app.error
    send(app, values=[0.0, 0.0])
    assert app.info
    assert not button(app, "Undo").disabled, "where nothing is merged too"


def test_undo_and_redo_take_back_and_make_again_every_move(own_suite):
    app = open_page()
    start = figures(app)
    settled(send(app, values=[0.2, 0.7]))
    moved = figures(app)
    app.selectbox(key="unit").set_value("bits per byte").run()
    settled(app)
    button(app, "Undo").click().run()
    assert (figures(app), app.selectbox(key="unit").value) == (moved, "bits per sentence")
    button(app, "Undo").click().run()
    assert (figures(app), panel(app)["state"]["values"]) == (start, [0.5, 0.5])
    assert button(app, "Undo").disabled
    button(app, "Redo").click().run()
    assert figures(app) == moved


def test_pins_are_kept_compared_renamed_restored_and_deleted_with_undo(own_suite):
    app = open_page()
    button(app, "Pin").click().run()
    settled(send(app, values=[0.2, 0.7]))
    button(app, "Pin").click().run()
    assert app.header[0].value == "Pins (2)"
    assert len(figures(app)) == 2
    names = [field for field in app.text_input if str(field.key).startswith("pin name")]
    names[0].set_value("the middle <b>").run()
    assert "the middle &lt;b&gt;" in json.loads(figures(app)[1])["layout"]["annotations"][0]["text"]
    button(app, "Make baseline").click().run()
    assert not app.exception
    assert any("Positive is worse than the middle <b>" in caption.value for caption in app.caption)
    button(app, "Restore").click().run()
    assert panel(app)["state"]["values"] == [0.5, 0.5]
    next(b for b in app.button if b.label.startswith("Delete")).click().run()
    assert app.header[0].value == "Pins (1)"
    button(app, "Undo").click().run()
    assert app.header[0].value == "Pins (2)"


def test_a_move_right_before_pin_is_pinned(own_suite):
    """Where both are heard together."""
    app = open_page()
    app.button(key="pin").click()
    send(app, values=[0.2, 0.7])
    present = app.session_state["history"].present
    assert [pin.view.recipe.weights for pin in present.pins] == [present.view.recipe.weights] == [(0.2, 0.7)]


def test_clicks_on_pins_that_come_before_the_page_is_drawn_again_all_count(own_suite, monkeypatch):
    """A name that was typed and the click that left its field come together; a second click comes on what is gone."""
    app = open_page()
    for _ in range(2):
        button(app, "Pin").click().run()
    field = next(field for field in app.text_input if str(field.key).startswith("pin name"))
    field.set_value("typed")
    button(app, "Restore").click().run()
    assert [pin.name for pin in app.session_state["history"].present.pins] == ["typed", "linear, 2 parents, 2"]
    seen = app._tree
    with monkeypatch.context() as patch:
        patch.setattr("interference.ui.ensure_shell", st.stop)  # where a newer run of the page ends it, for example
        app.button(key="pin Delete 1").click().run()
    app._tree = seen
    app.button(key="pin baseline 1").click().run()
    assert not app.exception
    state = app.session_state["history"].present
    assert ([pin.name for pin in state.pins], state.baseline) == (["typed"], None)
    app.run()
    seen = as_seen(app)
    next(field for field in app.text_input if str(field.key).startswith("pin name")).set_value("anew").run()
    assert app.session_state["history"].present.pins[0].name == "anew"
    app._tree = seen  # of a browser that has not drawn the new name
    app.button(key="pin baseline 0").click().run()
    assert not app.exception
    assert app.session_state["history"].present.pins[0].name == "anew"


def test_no_difference_is_counted_from_a_pin_of_another_suite(own_suite, tmp_path):
    app = open_page()
    button(app, "Pin").click().run()
    button(app, "Make baseline").click().run()
    app.text_input(key="suite").set_value(str(shutil.copytree(own_suite, tmp_path / "other"))).run()
    button(settled(app), "Pin").click().run()
    said = " ".join(caption.value for caption in app.caption)
    assert "Positive is worse than" not in said
    assert "The baseline is one of them" in said
    assert "lower is better" in figures(app)[1]


def test_what_a_figure_follows_ends_where_its_page_is_left(own_suite, monkeypatch):
    """What else the session asks for would wait for it."""
    left = []
    monkeypatch.setattr("interference.ui.shell.leave", lambda: left.append("merge"))
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120).run().run()
    assert not left
    app.switch_page("pages/models.py").run().run()
    assert left == ["merge"]


def link_of(app: AppTest) -> str:
    app.session_state["link_open"] = True
    app.run()
    return next(code.value for code in app.code if "?view=" in code.value).split("?view=")[1]


def test_a_link_reopens_the_view_with_its_pins(own_suite):
    app = open_page()
    button(app, "Pin").click().run()
    app.multiselect(key="languages").set_value(["deu"]).run()
    settled(send(app, values=[0.25, 0.75], lock=[True, False], normalise=False)).run()
    other = open_page(view=link_of(app))
    assert figures(other)[0] == figures(app)[0]
    assert panel(other)["state"] == panel(app)["state"]
    assert other.header[0].value == "Pins (1)"
    assert "view" not in other.query_params
    assert link_of(other) == link_of(app)


def test_a_link_is_opened_by_the_next_run_where_the_first_ended_while_it_was_read(own_suite, monkeypatch):
    """As by a reload on a fresh server, which imports torch for it."""
    ended, read = list[str](), links.from_link

    def script() -> None:
        from interference.ui.links import open_link

        open_link("")

    def from_link(text: str) -> State:
        if not ended:
            ended.append(text)
            st.stop()
        return read(text)

    monkeypatch.setattr("interference.ui.links.from_link", from_link)
    view = View(Recipe("linear", ("mono-eng", "mono-deu"), (0.2, 0.8)), str(own_suite), sentences=6)
    app = AppTest.from_function(script)
    app.query_params["view"] = to_link(State(view)).text
    app.run().run()
    assert ended
    assert app.session_state["history"].present.view == view
    assert "view" not in app.query_params


@pytest.mark.parametrize("view", ["nonsense", "", "eNo", "<script>alert(1)</script>"])
def test_a_link_that_cannot_be_read_is_a_message_on_the_usual_page(own_suite, view):
    app = open_page(view=view)
    assert not app.exception
    assert "This link is damaged" in app.warning[0].value
    assert len(figures(app)) == 1


def test_a_link_to_what_this_suite_lacks_shows_what_can_be_shown(own_suite):
    recipe = Recipe("linear", ("mono-eng", "mono-xxx"), (0.5, 0.5))
    view = View(recipe, str(own_suite), languages=("deu", "xxx"), unit="furlongs", sentences=10**9)
    app = open_page(view=to_link(State(view)).text)
    assert not app.exception
    assert not app.error
    assert app.multiselect(key="languages").value == ["deu"]
    assert app.multiselect(key="parents").value == ["mono-eng"]
    assert len(figures(app)) == 1


def test_a_browser_is_told_what_stands_in_place_of_what_is_no_option_any_more(own_suite):
    """It would go on showing its old choice otherwise, above the result of another."""
    app = open_page("pages/causal.py")
    app.selectbox(key="causal_language").set_value("deu").run()
    app.multiselect(key="languages").set_value(["eng"]).run()
    assert "Left out" in app.toast[0].value
    told = app.selectbox(key="causal_language").proto
    assert (told.set_value, told.raw_value) == (True, "English (eng)")


def test_presets_are_about_a_parent_of_this_merge(own_suite):
    app = open_page()
    app.multiselect(key="parents").set_value(["mono-deu", "branch-eng"]).run()
    told = app.selectbox(key="one parent").proto
    assert (told.set_value, told.raw_value) == (True, "mono-deu")
    assert not app.toast


def test_the_guide_sets_the_bench_step_by_step(own_suite):
    app = open_page()
    seen = []
    for title in ("One alone", "Another alone", "Two averaged", "Branches averaged"):
        app.get_by_key("guide").set_value(title).run()
        assert not app.exception
        seen.append(figures(app)[0])
    assert len(set(seen)) == len(seen)
    said = [caption.value for caption in app.caption]
    button(app, "Undo").click().run()
    assert app.get_by_key("guide").value is None
    assert said[0] not in [caption.value for caption in app.caption]
    assert not app.toast, "nothing that somebody chose was left out"


@pytest.mark.parametrize("method", sorted(methods()))
def test_every_method_draws(own_suite, method):
    """Every method with its own knobs, and its label under the figure."""
    app = open_page(method=methods()[method].label)
    assert not app.exception
    assert not app.error
    assert len(figures(app)) == 1
    assert app.selectbox(key="method").value == method


def test_base_is_shown_where_the_result_is(own_suite):
    """A task-vector merge names its base under the figure."""
    app = open_page(method=methods()["ties"].label)
    app.selectbox(key="base").set_value("@mean").run()
    assert any("base: the mean of the parents" in caption.value for caption in app.caption)


def test_controls_are_drawn(own_suite):
    """Rescaled merge and unigram model appear in the figure when asked for."""
    app = open_page()
    assert "rescaled" not in figures(app)[0]
    app.get_by_key("controls").set_value(["rescaled", "unigram"]).run()
    assert not app.exception
    assert "rescaled" in figures(app)[0]
    assert "unigram" in figures(app)[0]


def test_all_coefficients_zero_is_said(own_suite):
    """Nothing to merge is a sentence, not a failure."""
    app = send(open_page(), values=[0.0, 0.0])
    assert not app.exception
    assert "coefficient other than zero" in app.info[0].value


def test_parents_that_no_panel_has_room_for_are_counted(own_suite, monkeypatch):
    monkeypatch.setattr("interference.ui.merge.PARENTS", 1)
    assert "Parents (1 of 2)" in [block.proto.popover.label for block in open_page().get("popover")]


def test_what_a_caption_explains_is_drawn(suite_folder, tmp_path, monkeypatch):
    """A folder of checkpoints has no untrained one, and no references to count costs from."""
    for name in ("mono-eng", "mono-deu", "mixed"):
        shutil.copytree(suite_folder / name, tmp_path / "plain" / name)
    monkeypatch.setenv("INTERFERENCE_CORPUS", str(suite_folder / "corpus.tsv"))
    views: tuple[dict[str, str], ...] = ({}, {"points": "3"}, {"path_view": "Plane", "plane_points": "3"})
    said: dict[Path, str] = {}
    for folder in (suite_folder, tmp_path / "plain"):
        monkeypatch.setenv("INTERFERENCE_SUITE", str(folder))
        apps = [open_page("pages/path.py" if view else "pages/merge.py", **view) for view in views]
        said[folder] = " ".join(caption.value for app in apps for caption in app.caption)
    with_roles, plain = said.values()
    for words in ("grey is an untrained model", "bars on the right", "grey one an untrained", "one and a half times"):
        assert (words in with_roles, words in plain) == (True, False)


def test_means_beside_the_merge_are_of_the_same_languages():
    values = {"merge": (1.0, 3.0), "reference": (2.0,), "best parent": (2.0, 4.0), "untrained": (8.0, 9.0, 100.0)}
    cells = [(role, f"l{i}", value) for role, own in values.items() for i, value in enumerate(own)]
    sentence = merge_sentence(pd.DataFrame(cells, columns=["role", "language", "value"]), "bits per byte")
    assert sentence.startswith("**The merge needs 2.00 bits per byte** (mean of 2 languages, best parents 3.00, un")
    assert "untrained 8.50" in sentence


@pytest.mark.parametrize("roles", [True, False])
def test_costs_have_axes_where_there_are_costs(roles, suite_folder, tmp_path, monkeypatch):
    """A folder of checkpoints says nothing of references, and half an empty figure would stand for that."""
    for name in ("mono-eng", "mono-deu"):
        shutil.copytree(suite_folder / name, tmp_path / "plain" / name)
    monkeypatch.setenv("INTERFERENCE_SUITE", str(suite_folder if roles else tmp_path / "plain"))
    monkeypatch.setenv("INTERFERENCE_CORPUS", str(suite_folder / "corpus.tsv"))
    layout = live_plots(settled(open_page()))[0]["figure"]["layout"]
    assert ("xaxis2" in layout, "shapes" in layout, "domain" in layout["xaxis"]) == (roles,) * 3


def test_a_suite_that_is_not_there(own_suite):
    """A wrong path is one message that names it, and the right path brings the page back."""
    app = open_page()
    app.text_input(key="suite").set_value("/no/such/suite").run()
    assert not app.exception
    assert "/no/such/suite does not exist" in app.error[0].value
    app.text_input(key="suite").set_value(str(own_suite)).run()
    assert not app.error
    assert figures(app)


def test_a_corpus_without_the_language_asked_for(own_suite, tmp_path):
    """A corpus with ragged rows is refused by name and line."""
    (tmp_path / "bad.tsv").write_text("eng\tdeu\nonly one cell\n")
    app = open_page()
    app.text_input(key="corpus").set_value(str(tmp_path / "bad.tsv")).run()
    assert not app.exception
    assert "line 2 has 1 cells, the header has 2" in app.error[0].value


@pytest.mark.parametrize("measure", ["loss", "cost against the reference", "recovery"])
def test_suite_measures(own_suite, measure, monkeypatch):
    """The heat map shows each measure with its reading."""
    if measure == "recovery":  # models at random have learned nothing
        monkeypatch.delenv("INTERFERENCE_SUITE")
    app = open_page("pages/suite.py", measure=measure)
    assert not app.exception
    assert not app.error
    assert len(figures(app)) == 1


def test_where_nothing_was_learned_the_suite_page_says_so(own_suite):
    app = open_page("pages/suite.py", measure="recovery")
    assert not app.exception
    assert not figures(app)
    assert any("what costs are counted from is no better than untrained." in info.value for info in app.info)


def test_units_and_languages_from_the_link(own_suite):
    """A link restores unit and languages; a wrong value falls back without an error."""
    app = open_page(unit="bits per byte", languages="German (deu)")
    assert "bits per byte" in figures(app)[0]
    assert "English" not in figures(app)[0]
    assert not open_page(unit="furlongs", method="nonsense").exception


def test_an_address_written_by_hand_may_name_codes(own_suite):
    app = open_page(languages=["deu", "xxx"], method="ties", base="@zero")
    assert app.session_state["languages"] == ["deu"]
    assert (app.session_state["method"], app.session_state["base"]) == ("ties", "@zero")
    assert "English" not in figures(app)[0]
    app = open_page("pages/weights.py", conflict="sign_conflict", weights_base="@mean")
    assert not app.exception
    assert (app.session_state["conflict"], app.session_state["weights_base"]) == ("sign_conflict", "@mean")


def test_the_models_of_an_address_are_counted_at_once(own_suite):
    def labels(app: AppTest) -> list[str]:
        return [block.proto.popover.label for block in app.get("popover")]

    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120)
    app.query_params["parents"] = ["mono-eng", "mono-deu", "mixed"]
    assert "Parents (3)" in labels(app.run())
    for page, key in (("weights", "weights_models"), ("similarity", "similarity_models")):
        app = open_page(f"pages/{page}.py", **{key: ["mono-eng", "mono-deu"]})
        assert "Models (2)" in labels(app), page


def test_merge_page_opens_with_the_merge_that_ships(own_suite):
    """Else its first figure would have to be computed."""
    view = open_page().session_state["history"].present.view
    assert view.recipe == opening(open_suite(own_suite))


def test_a_merge_of_weights_that_were_replaced_is_another(suite_folder, tmp_path, monkeypatch):
    """What stands on the page is computed anew although nothing on the page was changed."""
    folder = Path(shutil.copytree(suite_folder, tmp_path / "moving"))
    monkeypatch.setenv("INTERFERENCE_SUITE", str(folder))
    app = open_page()
    before = figures(app)
    shutil.copy(next((folder / "mixed").glob("*.safetensors")), tmp_path / "other")
    (tmp_path / "other").replace(next((folder / "mono-eng").glob("*.safetensors")))
    app.run()
    assert figures(app) != before
    assert figures(app) == figures(open_page())


def test_a_suite_replaced_and_taken_away_while_it_is_open(suite_folder, tmp_path, monkeypatch):
    """Other weights give other numbers; a checkpoint that is gone is a message that names it."""
    folder = Path(shutil.copytree(suite_folder, tmp_path / "moving"))

    def bits() -> list[str]:
        return next(t.value["bits"].map("{:.3f}".format).tolist() for t in app.dataframe if "bits" in t.value)

    monkeypatch.setenv("INTERFERENCE_SUITE", str(folder))
    app = open_page("pages/suite.py")
    before = bits()
    weights = next((folder / "mono-eng").glob("*.safetensors"))
    shutil.copy(next((folder / "mono-deu").glob("*.safetensors")), tmp_path / "other")
    (tmp_path / "other").replace(weights)
    settled(app.run())
    assert not app.exception
    assert bits() != before
    shutil.rmtree(folder / "mono-eng")
    settled(app.run())
    assert not app.exception
    assert "mono-eng" in app.error[0].value


def test_a_suite_that_two_sessions_see_changed_is_opened_anew_once(own_suite, monkeypatch):
    """Neither's request takes the place of what the other waits for."""
    before = running.evaluator_of(str(own_suite), "", "cpu")
    opened, later = [], threading.Barrier(2)

    def slowly(*paths: Path | None) -> Suite:
        opened.append(paths)
        time.sleep(1)
        return open_suite(*paths)

    def changed(evaluator: Evaluator) -> bool:
        if evaluator is before:
            time.sleep(0.3 * later.wait(timeout=60))  # the second comes while the first opens it
        return evaluator is before

    monkeypatch.setattr("interference.suite.open_suite", slowly)
    monkeypatch.setattr(Evaluator, "changed", changed)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: running.evaluator_of(str(own_suite), "", "cpu"), range(2))
    assert first is second
    assert len(opened) == 1


def test_a_corpus_that_is_being_edited_is_read(own_suite, tmp_path):
    """Editors mark a file that they have open by a link to nothing beside it."""
    for language in ("eng", "deu"):
        (tmp_path / f"{language}.txt").write_text("One.\nTwo.\nThree.\nFour.\n")
    (tmp_path / ".#eng.txt").symlink_to("someone@somewhere")
    app = open_page("pages/suite.py", corpus=str(tmp_path))
    assert not app.exception
    assert not app.error
    assert "4 test sentences" in app.sidebar.caption[-1].value


def test_a_reload_leaves_the_moves_of_one_session_under_the_name_that_the_browser_knows():
    """What a new session has shown until it is told its name goes on under that, where there is nothing to take over,
    and takes no place of another's."""

    def script() -> None:
        from interference.bench import State, View
        from interference.recipe import Recipe
        from interference.ui import state

        state._moves().clear()
        shown = State(View(Recipe("linear", ("a", "b"), (0.1, 0.2))))
        state.move(shown)
        assert state.take_over("known") is None
        assert list(state._moves()) == ["known"]
        assert state.take_over("known") == shown

    assert not AppTest.from_function(script).run().exception
