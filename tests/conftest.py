"""Tiny real models, seeded, in a temporary folder; no test sees the user's own store."""

import importlib.util
import logging
import os
import shutil
from pathlib import Path

# Threads that spin while they wait stall each other beside the servers and browsers that some tests start.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if "PYTEST_XDIST_WORKER" in os.environ:  # each of several processes its share of the cores
    os.environ.setdefault("OMP_NUM_THREADS", "1")

os.environ["HF_HUB_OFFLINE"] = "1"  # before transformers is imported, for it is read then: no test reaches the Hub

import jaxtyping
import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

# Shapes and types are checked in every module but the grammar, which draws in tight loops, and recipes, which are
# handed whatever stood in a file and answer themselves. On a GPU nothing is checked: functions are compiled there, and
# checks can't be; a machine for the GPU tests alone may lack beartype too.
CHECKED = [
    f"interference.{module.stem}"
    for module in (Path(__file__).parents[1] / "src/interference").iterdir()
    if (module.suffix == ".py" or (module / "__init__.py").is_file())
    and module.stem not in ("__init__", "__main__", "__pycache__", "demo", "recipe")
]
if importlib.util.find_spec("playwright"):
    from playwright.sync_api import expect

    expect.set_options(timeout=240_000)  # a busy machine is no failure
if importlib.util.find_spec("hypothesis"):
    from hypothesis import HealthCheck, settings

    settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("busy")
if importlib.util.find_spec("beartype") and not torch.cuda.is_available():
    jaxtyping.install_import_hook(CHECKED, "typechecker.check")

ENGLISH = (
    "The dog sleeps.",
    "A cat eats an apple.",
    "My friend sees the red house.",
    "Two birds sing.",
    "Who is there?",
    "The book is old.",
)
GERMAN = (
    "Der Hund schläft.",
    "Eine Katze isst einen Apfel.",
    "Mein Freund sieht das rote Haus.",
    "Zwei Vögel singen.",
    "Wer ist da?",
    "Das Buch ist alt.",
)


FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(autouse=True)
def own_store(tmp_path, monkeypatch):
    """Point every cache and store at the test's own folder."""
    monkeypatch.setenv("INTERFERENCE_CACHE", str(tmp_path / "store"))


@pytest.fixture(autouse=True)
def changes_are_seen_at_once(monkeypatch):
    """A suite's files are looked at for changes at every run, however long that takes."""
    monkeypatch.setattr("interference.files._SELDOM", 0)


@pytest.fixture(autouse=True)
def no_session_in_jobs():
    """No job asks for its session's state: on the engine's thread Streamlit knows none, and warns."""
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("streamlit.runtime.scriptrunner_utils.script_run_context")
    logger.addHandler(handler)
    yield
    logger.removeHandler(handler)
    assert not [line for line in said if "'engine'" in line]


@pytest.fixture
def cli(capsys):
    """Run a command in this process: (exit code, standard output, standard error)."""
    from interference.__main__ import main

    def run(*arguments) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            main([str(a) for a in arguments])
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def told(cli):
    """What a command that does what it was asked says: standard output, standard error."""

    def run(*arguments) -> tuple[str, str]:
        code, out, err = cli(*arguments)
        assert code == 0, err
        return out, err

    return run


@pytest.fixture
def refused(cli):
    """The one message of a command that can't do what it was asked."""

    def run(*arguments) -> str:
        code, out, err = cli(*arguments)
        assert (code, out) == (2, "")
        assert "Traceback" not in err
        assert err.count("interference: ") == 1
        return err

    return run


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level tokenizer of 259 tokens with BOS, EOS and PAD."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate(["<s>", "</s>", "<pad>", *alphabet])}
    fast = Tokenizer(models.BPE(vocabulary, []))
    fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    fast.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=fast, bos_token="<s>", eos_token="</s>", pad_token="<pad>")


def llama(seed: int, **changes) -> LlamaForCausalLM:
    """A tiny tied Llama with weights of the given seed."""
    torch.manual_seed(seed)
    settings = {
        "vocab_size": 259,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 48,
        "max_position_embeddings": 64,
        "tie_word_embeddings": True,
        "initializer_range": 0.2,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": 2,
    }
    return LlamaForCausalLM(LlamaConfig(**(settings | changes), dtype="float32")).eval()


def gpt2(seed: int) -> GPT2LMHeadModel:
    """A tiny GPT-2 with weights of the given seed."""
    torch.manual_seed(seed)
    return GPT2LMHeadModel(
        GPT2Config(vocab_size=259, n_embd=32, n_layer=2, n_head=4, n_positions=64, bos_token_id=0, eos_token_id=1)
    ).eval()


def other(kind: str, seed: int, **sizes) -> PreTrainedModel:
    """A tiny model of another architecture."""
    torch.manual_seed(seed)
    common = {"vocab_size": 259, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    common |= {"intermediate_size": 48, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
    config = AutoConfig.for_model(kind, **(common | {"initializer_range": 0.2} | sizes))
    return AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()


def experts(seed: int) -> PreTrainedModel:
    """A tiny Mixtral, which is stored expert by expert."""
    return other("mixtral", seed, num_key_value_heads=2, num_local_experts=4, num_experts_per_tok=2)


def write_checkpoint(model, tokenizer, folder: Path) -> Path:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_corpus(path: Path, documents: int = 4) -> Path:
    """A parallel corpus of six sentences in `documents` documents each; document k repeats them k times joined."""
    rows = ["document\teng\tdeu"]
    for number in range(documents):
        rows += [f"d{number}\t{e} {number}\t{d} {number}" for e, d in zip(ENGLISH, GERMAN, strict=True)]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def suite_folder(tmp_path_factory, tokenizer) -> Path:
    """A random suite: init, two monos, mixed, two branches near mixed, and a corpus."""
    folder = tmp_path_factory.mktemp("suite")
    write_corpus(folder / "corpus.tsv")
    mixed = llama(3)
    models = {"init": llama(0), "mono-eng": llama(1), "mono-deu": llama(2), "mixed": mixed}
    for seed, language in ((4, "eng"), (5, "deu")):
        branch = llama(3)
        torch.manual_seed(seed)
        with torch.no_grad():
            for parameter in branch.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.02)
        models[f"branch-{language}"] = branch
    entries = []
    for name, model in models.items():
        write_checkpoint(model, tokenizer, folder / name)
        role, _, language = name.partition("-")
        entries.append(
            f"  - {{name: {name}, role: {role}, path: ./{name}{f', language: {language}' if language else ''}}}"
        )
    (folder / "suite.yaml").write_text("name: tiny\ncorpus: corpus.tsv\ncheckpoints:\n" + "\n".join(entries) + "\n")
    return folder


@pytest.fixture
def tiny(suite_folder, tmp_path):
    """What measures the random suite, with a store of its own."""
    from interference.evaluate import Evaluator
    from interference.store import Store
    from interference.suite import open_suite

    return Evaluator(open_suite(suite_folder), Store(tmp_path / "own"), torch.device("cpu"))


@pytest.fixture(scope="module")
def own_suite(suite_folder, tmp_path_factory):
    """The tiny random suite as the one the app opens on, with a store that outlives single tests."""
    patch = pytest.MonkeyPatch()
    patch.setenv("INTERFERENCE_SUITE", str(suite_folder))
    patch.setenv("INTERFERENCE_CACHE", str(tmp_path_factory.mktemp("store")))
    yield suite_folder
    patch.undo()


def browser_path() -> str:
    """The browser that `make test` found or installed."""
    names = ("google-chrome", "google-chrome-stable", "chromium", "chromium-browser")
    found = os.environ.get("INTERFERENCE_BROWSER") or next(filter(None, map(shutil.which, names)), None)
    if not found:
        pytest.fail(
            "No Chrome or Chromium found. Run `make test`, which installs one, or set INTERFERENCE_BROWSER to its path."
        )
    return found


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        instance = playwright.chromium.launch(executable_path=browser_path(), args=FLAGS)
        yield instance
        instance.close()
