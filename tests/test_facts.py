"""What a results file says about checkpoints and text: true, used, and never for other files or versions."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from interference import facts as module
from interference.evaluate import Evaluator
from interference.facts import FILE, MADE_FROM, facts
from interference.guide import opening
from interference.results import shipped_results, write_results
from interference.scored import tokens_key
from interference.store import Store
from interference.suite import open_suite


@pytest.fixture(scope="module")
def written(suite_folder, tmp_path_factory) -> Path:
    """A copy of the suite with its results file."""
    folder = shutil.copytree(suite_folder, tmp_path_factory.mktemp("facts") / "own")
    write_results(open_suite(folder), folder / FILE)
    return folder


@pytest.fixture
def own(written, tmp_path) -> Path:
    return shutil.copytree(written, tmp_path / "own")


def knows(folder: Path) -> set[str]:
    """The checkpoints that know their facts before anything is asked of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("interference.suite.check_readable", lambda checkpoints: None)
        return {c.name for c in open_suite(folder).checkpoints if "shapes" in vars(c)}


def rewrite(file: Path, **changes) -> None:
    with np.load(file) as stored:
        arrays = dict(stored)
    arrays[MADE_FROM] = np.array(json.dumps(json.loads(str(arrays[MADE_FROM])) | changes))
    np.savez_compressed(file, **arrays)


def test_facts_are_those_of_the_files_and_no_model_is_built_for_them(own, suite_folder, monkeypatch):
    read = {c.name: facts(c) for c in open_suite(suite_folder).checkpoints}
    monkeypatch.setattr("interference.checkpoint.checkpoint.meta_model", lambda config: pytest.fail("built"))
    opened = open_suite(own)
    assert {c.name: facts(c) for c in opened.checkpoints} == read
    assert opened.groups == (tuple(read),)


def test_changed_files_have_no_facts(own):
    """Another config, other weights, another tokenizer, none at all: only the untouched checkpoints know theirs."""
    names = knows(own)
    assert len(names) == 6
    (own / "init/config.json").write_text((own / "init/config.json").read_text() + "\n")
    shutil.copy(own / "mono-eng/model.safetensors", own / "mixed/model.safetensors")
    (own / "mono-deu/tokenizer.json").write_text((own / "mono-deu/tokenizer.json").read_text() + "\n")
    (own / "branch-eng/model.safetensors").unlink()
    assert knows(own) == names - {"init", "mixed", "mono-deu", "branch-eng"}


def test_other_versions_read_anew_but_share_bits(own, monkeypatch):
    """A tokenizer or a configuration may be read otherwise by another version; bits of another torch are near."""
    rewrite(own / FILE, versions=module.versions() | {"torch": "1.0"})
    assert len(knows(own)) == 6
    monkeypatch.setattr(module, "version", lambda name: "0.0" if name == "transformers" else "1.0")
    assert not knows(own)
    suite = open_suite(own)
    assert suite.corpus
    found = shipped_results(suite)
    assert tokens_key(suite["init"].digest_of_tokenizer, suite.corpus, "eng") not in found
    assert sum(array.dtype.kind == "f" for array in found.values()) == 7 * 2


@pytest.mark.parametrize("value", [[], {"init": []}, {"init": {"shapes": 1}}, {"init": 3}])
def test_facts_that_are_none_are_read_from_the_files(value, own):
    rewrite(own / FILE, facts=value)
    assert "init" not in knows(own)
    assert open_suite(own)["init"].architecture == "LlamaForCausalLM"


def test_counts_of_tokens_are_what_tokenising_gives(own, tmp_path):
    suite = open_suite(own)
    shipped = Evaluator(suite, Store(tmp_path / "a", shipped_results(suite)), torch.device("cpu"))
    fresh = Evaluator(suite, Store(tmp_path / "b", {}), torch.device("cpu"))
    rows = np.array([1, 5, 7])
    for language in ("eng", "deu"):
        counts = fresh.token_counts(suite["init"], language, rows)
        assert (counts[0] > 5).all()
        np.testing.assert_array_equal(shipped.token_counts(suite["init"], language, rows), counts)
    assert shipped._texts == {}


def test_a_merge_of_changed_parents_is_not_served(own):
    merges = len(shipped_results(open_suite(own)))
    assert opening(open_suite(own)).models == ("mono-eng", "mono-deu")
    shutil.copy(own / "mixed/model.safetensors", own / "mono-eng/model.safetensors")
    assert len(shipped_results(open_suite(own))) == merges - 2 * 2  # the parent's own, and the merge's, by language


def test_first_page_of_the_built_in_suite_needs_no_transformers(tmp_path):
    code = (
        "import sys; from interference.results import open_evaluator; from interference.guide import opening; "
        "from interference.views import merge_request; e = open_evaluator(device='cpu'); "
        "e.table(merge_request(opening(e.suite), e.suite, e.corpus.languages, 150)); "
        "print({'transformers', 'tokenizers', 'torch'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "{'torch'}"
