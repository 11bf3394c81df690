"""Ids of the Hub, what they mean on this machine, and the catalogue: nothing here asks the network."""

import pytest
from conftest import llama, write_checkpoint

from interference.catalogue import FAMILIES, compose, family, known_of, step_of, suite_document
from interference.checkpoint import Checkpoint
from interference.errors import UserError
from interference.hub import HubId, fetched, hub_id, local_folder
from interference.suite import Suite, open_suite, write_suite
from interference.trajectory import runs

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_ids_are_read_and_written_alike():
    revisions = ("org/name@step1000", f"org/name.v2@{COMMIT}", "org/name@refs/pr/1", "o/n@a--b")
    for text in ("org/name", *revisions, f"o/{'a' * 96}"):
        assert str(hub_id(text)) == text
    assert hub_id("org/name", "v1") == hub_id("org/name@v1") == HubId("org/name", "v1")


@pytest.mark.parametrize(
    "text",
    [
        *("", "name", "a/b/c", "../b", "org/..", "org/name@", "org name/x", "org/na me", "/a/b"),
        *("org/na--me", "org/na..me", "org/name.git", "org/name.", "org/name-@v1", "org./name", f"org/{'a' * 97}"),
    ],
)
def test_what_is_no_id_is_named(text):
    """What the Hub's own library would refuse too, which asks for it only later."""
    with pytest.raises(UserError, match="is no id of the Hub"):
        hub_id(text)


@pytest.mark.parametrize("revision", ["../x", "a b", "/a", "v1@v2", "a\0"])
def test_what_is_no_revision_is_named(revision):
    for asked in (
        lambda: hub_id("org/name", revision),
        lambda: compose(FAMILIES["hplt-v2"], ["eng"], FAMILIES["hplt-v2"].known, revision),
    ):
        with pytest.raises(UserError, match=r"can be no revision of .*expected a branch, a tag or a commit"):
            asked()


def test_two_revisions_are_refused():
    with pytest.raises(UserError, match="names the revision a, and b is asked for"):
        hub_id("org/name@a", "b")


def test_a_folder_comes_before_an_id_and_a_slip_is_no_id(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "org" / "name").mkdir(parents=True)
    assert local_folder("org/name") == (tmp_path / "org/name").resolve()
    assert local_folder("org/nane") is None
    assert local_folder("other/na--me") is None
    with pytest.raises(UserError, match="`interference hub fetch other/name@v1` gets it"):
        local_folder("other/name@v1")


def test_what_the_hubs_own_cache_has_is_used(tmp_path, monkeypatch, tokenizer):
    """In the layout that huggingface_hub keeps; an unfinished one, without weights, is none."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / "models--org--name"
    folder = write_checkpoint(llama(1), tokenizer, repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    assert fetched(hub_id("org/name")) == fetched(hub_id(f"org/name@{COMMIT}")) == folder
    assert fetched(hub_id("org/name@other")) is None
    (folder / "model.safetensors").unlink()
    assert fetched(hub_id("org/name")) is None


def test_a_damaged_record_of_revisions_says_what_to_do(tmp_path):
    which = hub_id("org/name")
    which.root.mkdir(parents=True)
    (which.root / "revisions.json").write_text("{")
    with pytest.raises(UserError, match="Delete it and fetch org/name again"):
        fetched(which)


@pytest.mark.parametrize("key", FAMILIES)
def test_every_known_id_is_of_its_family_and_in_one_language(key):
    found = family(key)
    assert all(found.holds(repo) and known_of(repo)[1] == found.role for repo in found.known)
    spoken = [found.language(repo) for repo in found.known]
    assert len(set(spoken) - {None}) == len([code for code in spoken if code])
    assert all(len(code) == 3 for code in spoken if code)


def test_unknown_names_are_answered_with_the_nearest():
    with pytest.raises(UserError, match="did you mean 'hplt-v2'"):
        family("hplt-2")
    with pytest.raises(UserError, match="none of the 23 ids known here is in 'den': did you mean"):
        compose(family("hplt-v2"), ["den"], family("hplt-v2").known, "main")


@pytest.mark.parametrize(
    ("revision", "step"), [("checkpoint_0010000", 10000), ("step512", 512), ("main", None), ("v2", None)]
)
def test_steps_are_told_from_revisions(revision, step):
    assert step_of(revision) == step


def test_a_suite_of_two_revisions_of_one_model_has_two_names(tmp_path):
    pair = [(hub_id(f"HPLT/hplt2c_eng_checkpoints@checkpoint_000{n}000"), "eng", "mono") for n in (1, 2)]
    document = suite_document("own", pair)
    assert [(entry["name"], entry["step"]) for entry in document["checkpoints"]] == [
        ("mono-eng", 1000), ("hplt2c_eng_checkpoints-checkpoint_0002000", 2000)
    ]  # fmt: skip
    write_suite(document, tmp_path / "suite.yaml")
    with pytest.raises(UserError, match="exists already"):
        write_suite(document, tmp_path / "suite.yaml")
    with pytest.raises(UserError, match="checkpoint_0001000` gets it"):
        open_suite(tmp_path / "suite.yaml")


def test_steps_of_models_without_a_language_are_named_as_one_run(tmp_path):
    """Several seeds at several steps: what is one run goes by the name up to the step."""
    ids = [hub_id(f"EleutherAI/pythia-14m-seed{seed}@step{step}") for seed in (1, 2) for step in (1000, 2000)]
    entries = suite_document("seeds", [(which, *known_of(which.repo)) for which in ids])["checkpoints"]
    assert [entry["name"] for entry in entries] == [
        f"pythia-14m-seed{seed}-step{step}" for seed in (1, 2) for step in (1000, 2000)
    ]
    made = Suite("s", None, tuple(Checkpoint(e["name"], tmp_path, step=e["step"]) for e in entries))
    assert [list(run.checkpoints) for run in runs(made).values()] == [[1000, 2000]] * 2


def test_a_suite_whose_ids_name_no_language_is_not_composed_by_one():
    with pytest.raises(UserError, match=r"names a language, EleutherAI/.* Choose them on the Models page"):
        compose(family("polypythia"), ["eng"], ["EleutherAI/pythia-14m-seed1"], "main")


def test_every_model_of_a_suite_has_a_name_of_its_own_and_a_role_that_opens(tmp_path):
    """Three repositories of one name, and one that the catalogue takes for a language's and that names none."""
    ids = ["one/same", "two/same", "three/same", "HPLT/hplt2c_deu_checkpoints"]
    models = [(which := hub_id(text), *known_of(which.repo)) for text in ids]
    entries = suite_document("own", [*models, (hub_id("four/nameless"), None, "mono")])["checkpoints"]
    assert [entry["name"] for entry in entries] == ["same", "same-main", "same-main-2", "mono-deu", "nameless"]
    assert [(entry["role"], entry.get("language")) for entry in entries[3:]] == [("mono", "deu"), ("other", None)]
