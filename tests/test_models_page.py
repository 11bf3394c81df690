"""The Models page where the Hub is out of reach: it says so, says what to do, and stays alive."""

import threading
import time
from pathlib import Path

import pytest
import yaml
from streamlit.testing.v1 import AppTest
from test_pages import open_page

from interference.catalogue import FAMILIES
from interference.errors import UserError
from interference.hub import fetch, hub_id
from interference.hub.background import Background, Download
from interference.hub.ids import DONE
from interference.hub.listing import HubFile
from interference.ui import models


@pytest.fixture
def page(own_suite) -> AppTest:
    app = open_page("pages/models.py")
    assert not app.exception
    assert not app.error
    return app


def test_nothing_is_asked_before_something_is_chosen(page):
    assert page.title[0].value == "Models"
    assert "Choose languages or models" in page.info[0].value


def test_offline_is_a_message_and_the_choice_stays(page):
    page.get_by_key("ticked hplt-v2").set_value(["eng", "deu"]).run()
    page.button(key="plan_models").click().run()
    assert "switched off here by HF_HUB_OFFLINE" in page.error[0].value
    assert page.get_by_key("ticked hplt-v2").value == ["eng", "deu"]
    assert page.button(key="open_models").disabled


@pytest.mark.parametrize("key", FAMILIES)
def test_every_suite_of_the_catalogue_draws(key, page):
    page.selectbox(key="family").set_value(key).run()
    assert not page.exception
    assert any(FAMILIES[key].note in text.value for text in page.main.markdown)


def test_an_id_that_is_none_is_named(page):
    page.text_area(key="typed_ids").set_value("org/name\nno id").run()
    assert "'no' is no id of the Hub" in page.error[0].value
    page.text_area(key="typed_ids").set_value("org/name@v1").run()
    assert not page.error
    assert "0 of 1 are on this machine" in page.main.caption[-1].value


@pytest.fixture
def background(monkeypatch) -> Background:
    """Downloads of a process of their own."""
    found = Background()
    monkeypatch.setattr(models, "_background", lambda: found)
    return found


def fetch_nothing(repo: str) -> None:
    """A folder that counts as fetched."""
    which, commit = hub_id(repo), "0" * 40
    (which.root / commit).mkdir(parents=True)
    (which.root / commit / DONE).write_text("{}")
    (which.root / "revisions.json").write_text(f'{{"main": "{commit}"}}')


def test_ids_that_the_hubs_library_refuses_are_named(page):
    page.text_area(key="typed_ids").set_value("org/na--me").run()
    assert not page.exception
    assert "'org/na--me' is no id of the Hub" in page.error[0].value


def test_a_revision_that_can_be_none_is_named(page):
    page.text_input(key="revision").set_value("../x")
    page.get_by_key("ticked hplt-v2").set_value(["eng"]).run()
    assert "'../x' can be no revision of HPLT/hplt2c_eng_checkpoints" in page.error[0].value


def test_a_damaged_record_is_a_message(page):
    fetch_nothing("org/damaged")
    (hub_id("org/damaged").root / "revisions.json").write_text("{x")
    page.text_area(key="typed_ids").set_value("org/damaged").run()
    assert not page.exception
    assert "Delete it and fetch org/damaged again" in page.error[0].value


def test_choices_are_there_for_whoever_comes_back(page, background):
    """Who leaves while models come would have to tick them again to open the suite."""
    page.text_input(key="revision").set_value("checkpoint_0001000")
    page.text_area(key="typed_ids").set_value("org/name")
    page.get_by_key("ticked hplt-v2").set_value(["eng", "deu"]).run()
    page.switch_page("pages/weights.py").run()
    page.switch_page("pages/models.py").run()
    assert not page.exception
    assert page.get_by_key("ticked hplt-v2").value == ["eng", "deu"]
    assert page.text_area(key="typed_ids").value == "org/name"
    assert page.text_input(key="revision").value == "checkpoint_0001000"
    page.get_by_key("ticked hplt-v2").set_value(["eng"]).run()
    assert page.get_by_key("ticked hplt-v2").value == ["eng"]


def test_a_download_is_seen_by_whoever_comes_back(page, background):
    background._state = Download((hub_id("org/name"),), share=0.25, running=True)
    page.run()
    assert "Choose languages or models" in page.info[0].value
    assert page.get("progress")[0].proto.text == "Downloading: org/name, 25%"
    page.button(key="stop_download").click().run()
    assert page.get("progress")[0].proto.text == "Stopping once the Hub has answered: org/name, 25%"
    assert page.button(key="stop_download").disabled


def test_a_second_download_is_refused_where_it_was_asked_for(page, background, monkeypatch):
    """By a session that had not seen the first begin."""

    def busy(ids) -> None:
        raise UserError("Another download is running. Wait for it, or stop it first.")

    monkeypatch.setattr(background, "start", busy)
    page.text_area(key="typed_ids").set_value("org/name").run()
    page.button(key="download_models").click().run()
    assert page.error[0].value.startswith("Another download is running")


def test_what_is_here_can_be_checked_and_fetched_anew(page):
    fetch_nothing("org/here")
    page.text_area(key="typed_ids").set_value("org/here").run()
    assert "1 of 1 are on this machine" in page.main.caption[-1].value
    assert not page.button(key="open_models").disabled
    assert not page.button(key="download_models").disabled


def test_text_is_looked_for_where_the_app_was_started(page, tmp_path, monkeypatch):
    monkeypatch.setenv("INTERFERENCE_FOLDER", str(tmp_path))
    fetch_nothing("org/measured")
    page.text_area(key="typed_ids").set_value("org/measured")
    page.text_input(key="models_corpus").set_value("text.tsv").run()
    page.button(key="open_models").click().run()
    written = yaml.safe_load(Path(page.session_state["suite"]).read_text())
    assert written["corpus"] == str(tmp_path / "text.tsv")


def test_why_a_model_cant_be_loaded_stands_below_the_table(page, monkeypatch):
    """Whose last column is out of sight on a phone."""
    import interference.hub.plan as plan

    refused = plan.Planned(hub_id("org/code"), None, None, "org/code: its model is code in the folder.")
    monkeypatch.setattr(plan, "plan", lambda ids: plan.Plan((refused,)))
    page.text_area(key="typed_ids").set_value("org/code").run()
    page.button(key="plan_models").click().run()
    assert [warning.value for warning in page.warning] == [refused.refused]


def test_a_download_stops_between_two_answers(monkeypatch):
    """Of many models on a slow Hub not all have to be asked for first."""
    asked, answers = [], threading.Event()

    def listing(which):
        asked.append(which)
        answers.wait(120)
        return which

    monkeypatch.setattr("interference.hub.listing.listing", listing)
    background = Background()
    background.start([hub_id("org/one"), hub_id("org/two")])
    background.stop()
    assert background.stopping
    answers.set()
    deadline = time.monotonic() + 120
    while background.state.running and time.monotonic() < deadline:
        time.sleep(0.01)
    assert background.state.stopped
    assert not background.stopping
    assert asked == [hub_id("org/one")]


def test_a_download_may_rename_a_file_while_a_page_looks(tmp_path, monkeypatch):
    """Between one question about it and the next."""
    part = tmp_path / "model.safetensors.part"
    part.write_bytes(b"abc")
    plain = Path.stat

    def renamed_after(self, **options):
        found = plain(self, **options)
        if self == part:
            part.rename(tmp_path / "model.safetensors")
        return found

    monkeypatch.setattr(Path, "stat", renamed_after)
    assert fetch._have(tmp_path, HubFile("model.safetensors", 5, "", "")) == 3
