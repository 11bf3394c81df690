"""The Hub, spoken to as it really speaks, on loopback: downloads, what breaks them, and what is done about it."""

import contextlib
import io
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from conftest import llama, write_checkpoint, write_corpus
from fake_hub import FakeHub, Fault, commit_of, serving
from safetensors import safe_open

from interference.checkpoint import Checkpoint, MappedTensors
from interference.corpus import read_corpus
from interference.errors import UserError

ROOT = Path(__file__).parents[1]


def files_of(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def as_pickle(files: dict[str, bytes], state: dict, shards: int = 1) -> dict[str, bytes]:
    """The same model as pytorch_model.bin, in shards with their index."""
    rest = {name: contents for name, contents in files.items() if name != "model.safetensors"}
    names = sorted(state)
    places: dict[str, str] = {}
    for number in range(shards):
        buffer, part = io.BytesIO(), {name: state[name] for name in names[number::shards]}
        torch.save(part, buffer)
        name = "pytorch_model.bin" if shards == 1 else f"pytorch_model-{number + 1:05}-of-{shards:05}.bin"
        rest[name], places = buffer.getvalue(), places | dict.fromkeys(part, name)
    if shards > 1:
        rest["pytorch_model.bin.index.json"] = json.dumps({"metadata": {}, "weight_map": places}).encode()
    return rest


class Client:
    """The process that asks the Hub, with the store of the test that uses it."""

    def __init__(self, address: str, home: Path):
        settings = {"HF_ENDPOINT": address, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", "COLUMNS": "400",
                    "HF_HUB_DISABLE_TELEMETRY": "1"}  # fmt: skip
        own = {key: value for key, value in os.environ.items() if key != "HF_HUB_OFFLINE"} | settings
        command = [sys.executable, str(ROOT / "tests/hub_client.py")]
        self.address = address
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=own, cwd=home
        )

    def ask(self, **request) -> dict:
        request |= {"cache": os.environ["INTERFERENCE_CACHE"]}
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def __call__(self, *arguments: str, token: str | None = None) -> dict:
        return self.ask(arguments=["hub", *arguments], token=token)

    def works(self, *arguments: str, **named) -> str:
        answer = self(*arguments, **named)
        assert answer["code"] == 0, answer["err"]
        return answer["out"]

    def refusal(self, *arguments: str, **named) -> str:
        """The message of a command that ends with 2, which is one paragraph."""
        answer = self(*arguments, **named)
        assert answer["code"] == 2, answer
        assert answer["out"] == ""
        message = answer["err"].split("interference: ", 1)[1].strip()
        assert "Traceback" not in answer["err"]
        return message

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture(scope="module")
def models(tmp_path_factory, tokenizer) -> dict[str, dict[str, bytes]]:
    """Files of repositories: two that fit each other, as pickles too, and ones that can't be loaded or merged."""
    folder = tmp_path_factory.mktemp("models")
    made = {name: llama(seed) for seed, name in enumerate(("eng", "deu", "later"), start=1)}
    made["deep"] = llama(9, num_hidden_layers=3)
    found = {name: files_of(write_checkpoint(model, tokenizer, folder / name)) for name, model in made.items()}
    found["bin"] = as_pickle(found["eng"], made["eng"].state_dict())
    found["shards"] = as_pickle(found["eng"], made["eng"].half().state_dict(), shards=2)
    config = json.loads(found["eng"]["config.json"])
    own = config | {"model_type": "own", "auto_map": {"AutoModelForCausalLM": "modeling.Own"}}
    found["code"] = found["eng"] | {"config.json": json.dumps(own).encode(), "modeling.py": b"raise SystemExit(3)"}
    evil = pickle.dumps({"weight": Evil()}) + b" " * 30_000
    found["evil"] = {k: v for k, v in found["bin"].items() if k != "pytorch_model.bin"} | {"pytorch_model.bin": evil}
    found["adapter"] = {"config.json": found["eng"]["config.json"], "adapter_model.gguf": bytes(2_000_000)}
    return found


class Evil:
    def __reduce__(self):
        return (os.system, ("echo ran > /tmp/never",))


@pytest.fixture(scope="module")
def running(models, tmp_path_factory):
    hub = FakeHub()
    for name, files in models.items():
        if name != "later":
            hub.add(f"org/{name}", files)
    hub.add("org/eng", models["later"], "checkpoint_0001000")
    with serving(hub) as address:
        client = Client(address, tmp_path_factory.mktemp("home"))
        yield hub, client
        client.close()


@pytest.fixture
def hub(running) -> FakeHub:
    running[0].reset()
    return running[0]


@pytest.fixture
def client(running, hub) -> Client:
    return running[1]


def folder_of(client: Client, name: str, **named) -> Path:
    return Path(client.works("fetch", name, **named).strip())


# Downloads


def test_what_is_fetched_is_the_model_and_nothing_else(client, hub, models):
    folder = folder_of(client, "org/eng")
    assert folder.name == commit_of(models["eng"])
    wanted = {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert {file.name for file in folder.iterdir()} - {"fetched.json", ".lock"} == wanted
    for name in wanted:
        assert (folder / name).read_bytes() == models["eng"][name]
    expected = dict(llama(1).named_parameters())
    assert all(torch.equal(tensor, expected[name]) for name, tensor in Checkpoint("m", folder).tensors())


def test_a_second_fetch_downloads_nothing(client, hub):
    first = folder_of(client, "org/eng")
    hub.seen.clear()
    assert folder_of(client, "org/eng") == first
    assert hub.downloads() == []


@pytest.mark.parametrize(("name", "file"), [("eng", "config.json"), ("shards", "model-00002-of-00002.safetensors")])
@pytest.mark.parametrize("gone", [True, False])
def test_what_was_damaged_since_is_fetched_again(name, file, gone, client, hub):
    folder = folder_of(client, f"org/{name}")
    whole = (folder / file).read_bytes()
    if gone:
        (folder / file).unlink()
    else:
        (folder / file).write_bytes(whole[:-9])
    assert folder_of(client, f"org/{name}") == folder
    assert (folder / file).read_bytes() == whole
    assert Checkpoint("whole", folder).shapes
    hub.reset()
    client.works("fetch", f"org/{name}")
    assert hub.downloads() == []


def test_a_revision_is_another_checkpoint(client, hub, models):
    folder = folder_of(client, "org/eng@checkpoint_0001000")
    assert (folder / "model.safetensors").read_bytes() == models["later"]["model.safetensors"]
    assert client.works("revisions", "org/eng").split() == ["checkpoint_0001000", "main"]


def test_code_in_a_repository_is_not_downloaded(client, hub):
    message = client.refusal("fetch", "org/code")
    assert "auto_map: modeling.Own" in message
    assert "code from a checkpoint is never run here" in message
    assert not [seen for seen in hub.downloads() if seen.path.endswith((".py", ".safetensors"))]


@pytest.mark.parametrize("name", ["bin", "shards"])
def test_pickles_are_converted_once_and_deleted(name, client, hub, models):
    folder = folder_of(client, f"org/{name}")
    assert not list(folder.glob("*.bin*"))
    record = json.loads((folder / "fetched.json").read_text())
    assert set(record["converted"]) == {file.name for file in folder.glob("*.safetensors")}
    assert all(len(checksum) == 64 for checksum in record["converted"].values())
    checkpoint = Checkpoint("m", folder)
    expected = llama(1).half() if name == "shards" else llama(1)
    parameters = dict(expected.named_parameters())
    assert {n: tuple(t.shape) for n, t in parameters.items()} == checkpoint.shapes
    assert all(torch.equal(tensor, parameters[n]) for n, tensor in checkpoint.tensors())
    assert checkpoint.dtype == ("float16" if name == "shards" else "float32")


def one_byte_other(file: Path) -> None:
    """A weight that is another, and a file as long as before and of the same time."""
    before, contents = file.stat(), bytearray(file.read_bytes())
    contents[-3] ^= 1
    file.write_bytes(contents)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns + 1))


@pytest.mark.parametrize("name", ["bin", "eng"])
def test_weights_that_changed_since_are_not_merged_and_are_fetched_anew(name, client, hub, tmp_path):
    """Converted pickles, whose source is on the Hub alone, and what was fetched as it is."""
    folder = folder_of(client, f"org/{name}")
    file = folder / "model.safetensors"
    whole = file.read_bytes()
    assert len(list(MappedTensors(Checkpoint("m", folder)))) > 3
    one_byte_other(file)
    again = f"`interference hub fetch org/{name}@{folder.name}` gets it {'and converts it ' * (name == 'bin')}anew"
    opened = Checkpoint("m", folder)
    assert opened.shapes  # opening a suite reads no weights
    for read in (lambda: list(opened.tensors()), lambda: MappedTensors(opened)["model.norm.weight"]):
        with pytest.raises(
            UserError, match=r"model\.safetensors was damaged or changed since it was fetched"
        ) as message:
            read()
        assert again in str(message.value)
    hub.seen.clear()
    answer = client("fetch", f"org/{name}@{folder.name}")
    assert (answer["code"], Path(answer["out"].strip())) == (0, folder)
    anew = "fetched and converted anew" if name == "bin" else "fetched anew"
    assert f"{file} was damaged or changed since; it is {anew}." in answer["err"]
    assert {Path(seen.path).suffix for seen in hub.downloads()} == {".bin" if name == "bin" else ".safetensors"}
    assert file.read_bytes() == whole
    assert dict(Checkpoint("m", folder).tensors())


def test_a_damaged_file_whose_source_is_gone_is_said_and_kept(client, hub, models):
    hub.add("org/gone", models["bin"])
    folder = folder_of(client, "org/gone")
    one_byte_other(folder / "model.safetensors")
    del hub.repositories["models", "org/gone"]
    assert "org/gone: the Hub shows no such repository" in client.refusal("fetch", "org/gone")
    assert (folder / "model.safetensors").is_file()


def test_a_tied_head_is_stored_once(client, hub):
    folder = folder_of(client, "org/bin")
    with safe_open(folder / "model.safetensors", framework="pt") as stored:
        assert len({"lm_head.weight", "model.embed_tokens.weight"} & set(stored.keys())) == 1


def test_a_pickle_that_holds_code_is_deleted_and_does_not_run(client, hub, tmp_path):
    message = client.refusal("fetch", "org/evil")
    assert "could run code" in message
    assert "It was deleted" in message
    assert not Path("/tmp/never").exists()
    assert not list((tmp_path / "store").rglob("*.bin"))


# What breaks off


def test_a_stopped_download_is_gone_on_from(client, hub, models, tmp_path):
    """The second asks for what is missing and no more, and the whole has the Hub's checksum."""
    done = float(client.ask(stop="org/eng", share=0.5)["out"])
    part = next((tmp_path / "store").rglob("model.safetensors.part"))
    have = part.stat().st_size
    assert 0 < have < len(models["eng"]["model.safetensors"])
    assert done > 0.5
    hub.seen.clear()
    folder = folder_of(client, "org/eng")
    assert f"bytes={have}-" in {seen.range for seen in hub.seen}
    assert (folder / "model.safetensors").read_bytes() == models["eng"]["model.safetensors"]


def test_shares_are_of_the_whole_whatever_was_here(client, hub, models, tmp_path):
    """Gone on from where it stopped; never below nothing, where what was here turns out to be something else."""
    stopped = float(client.ask(stop="org/eng", share=0.5)["out"])
    size = len(models["eng"]["model.safetensors"])
    part = next((tmp_path / "store").rglob("model.safetensors.part"))
    assert 0.5 < stopped <= float(client.ask(stop="org/eng", share=-9)["out"])
    part.write_bytes(bytes(size - 9))
    shares = client.ask(shares="org/eng")["out"]
    assert min(shares) >= 0
    assert max(shares) == shares[-1] == 1
    assert shares[0] > 0.9
    assert next((tmp_path / "store").rglob("model.safetensors")).read_bytes() == models["eng"]["model.safetensors"]


@pytest.mark.parametrize("contents", ["", "[]"])
def test_a_damaged_record_is_written_anew(contents, client, hub):
    """Cut off where the power went: the files that are whole are not downloaded again."""
    folder = folder_of(client, "org/eng")
    record = (folder / "fetched.json").read_text()
    (folder / "fetched.json").write_text(contents)
    assert json.loads(client.works("plan", "org/eng", "--format", "json"))[0]["here"] is False
    hub.seen.clear()
    assert folder_of(client, "org/eng") == folder
    assert hub.downloads() == []
    assert (folder / "fetched.json").read_text() == record


@pytest.mark.parametrize("index", ["[]", '{"weight_map": []}', "{}", "{"])
def test_an_index_that_is_none_is_of_the_repository(index, client, hub, models):
    hub.add("org/index", models["shards"] | {"pytorch_model.bin.index.json": index.encode()})
    message = client.refusal("fetch", "org/index")
    assert "pytorch_model.bin.index.json" in message
    assert "does not answer as a Hub does" not in message


def test_a_configuration_that_two_ask_for_at_once_is_whole(client, hub, models, tmp_path):
    """Both are answered before either has written: together they would append to one part."""
    both, append = threading.Barrier(2), hub.seen.append

    class Seen(list):
        def append(self, seen):
            append(seen)
            if seen.path.endswith("/config.json"):
                with contextlib.suppress(threading.BrokenBarrierError):
                    both.wait(1)

    other = Client(client.address, tmp_path)
    hub.seen = Seen()
    try:
        answers: list[dict] = []
        asking = [threading.Thread(target=lambda c=c: answers.append(c("plan", "org/eng"))) for c in (client, other)]
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join()
    finally:
        hub.seen = []
        other.close()
    assert [answer["code"] for answer in answers] == [0, 0], answers
    files = list((tmp_path / "store").rglob("config.json*"))
    assert [file.read_bytes() for file in files] == [models["eng"]["config.json"]]


def test_what_is_changed_on_the_hub_meanwhile_is_said(client, hub, models):
    """Its history is written anew between two files, so that the commit that was listed is none any more."""
    before = hub.repositories["models", "org/deu"]["main"]

    class Seen(list):
        def append(self, seen):
            if seen.path.endswith("/model.safetensors"):
                hub.add("org/deu", models["later"])

    hub.seen = Seen()
    try:
        message = client.refusal("fetch", "org/deu")
        assert "org/deu: the repository has no such revision any more as it was listed" in message
        folder = folder_of(client, "org/deu")
        assert (folder / "model.safetensors").read_bytes() == models["later"]["model.safetensors"]
    finally:
        hub.seen = []
        hub.add("org/deu", before)


def test_a_folder_that_is_deleted_under_a_download_is_said(client, hub, tmp_path):
    class Seen(list):
        def append(self, seen):
            if "/cdn/" in seen.path:
                shutil.rmtree(next((tmp_path / "store").rglob("models--org--eng")))

    hub.seen = Seen()
    try:
        assert "model.safetensors.part was deleted while it was downloaded. Fetch again" in client.refusal(
            "fetch", "org/eng"
        )
    finally:
        hub.seen = []
    assert folder_of(client, "org/eng").is_dir()


def test_a_connection_that_breaks_off_is_made_again(client, hub, models):
    hub.faults.append(Fault("/cdn/.*safetensors", times=2, after=10_000))
    folder = folder_of(client, "org/eng")
    assert (folder / "model.safetensors").read_bytes() == models["eng"]["model.safetensors"]
    assert {"bytes=10000-", "bytes=20000-"} <= {seen.range for seen in hub.seen}


def test_a_file_of_which_nothing_ever_comes_is_given_up(client, hub):
    """As where a firewall lets the Hub through, and not the place that its large files are at."""
    hub.faults = [Fault("/cdn/", times=10, status=503)]
    assert "org/deu: the Hub answers 503" in client.refusal("fetch", "org/deu")
    assert hub.faults[0].times == 5


def test_a_server_that_sends_all_again_is_not_appended(client, hub):
    hub.faults += [Fault("/cdn/.*safetensors", after=10_000), Fault("/cdn/.*safetensors", whole=True)]
    assert "sends all of it again" in client.refusal("fetch", "org/eng")


def test_one_wrong_checksum_is_fetched_anew(client, hub, models):
    hub.faults.append(Fault("/cdn/.*safetensors", corrupt=True))
    folder = folder_of(client, "org/eng")
    assert (folder / "model.safetensors").read_bytes() == models["eng"]["model.safetensors"]


@pytest.mark.parametrize("file", ["/cdn/.*safetensors", "resolve/.*/config.json"])
def test_two_wrong_checksums_are_one_message_and_nothing_is_kept(file, client, hub, tmp_path):
    """SHA-256 of large files, git's SHA-1 of small ones."""
    hub.faults.append(Fault(file, times=2, corrupt=True))
    message = client.refusal("fetch", "org/eng")
    assert "came with another checksum than the Hub lists" in message
    assert not list((tmp_path / "store").rglob("*.part"))


def test_a_file_that_is_longer_than_listed_is_refused(client, hub, models):
    hub.sizes["model.safetensors"] = len(models["eng"]["model.safetensors"]) - 8
    assert "is longer than the" in client.refusal("fetch", "org/eng")


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault("/api/", times=9, status=429, headers={"Retry-After": "120"}), "429, too many requests from here"),
        (Fault("/cdn/", times=9, status=429, headers={"Retry-After": "999"}), "Try again in 999 seconds"),
        (
            Fault("/cdn/", times=9, status=429, headers={"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}),
            "Try again after Wed, 21 Oct 2026 07:28:00 GMT; logging in",
        ),
        (Fault("/api/", times=9, status=503), "answers 503"),
        (Fault("/cdn/", times=9, status=404), "lacks a file that it listed (answer 404)"),
        (Fault("/cdn/", times=9, status=401), "shows no such repository to this login (answer 401)"),
        (Fault("/cdn/", times=9, status=403), "org/eng is gated or forbidden to this login (answer 403): expected one"),
        (Fault("/api/", times=9, status=403), "org/eng is gated or forbidden to this login (answer 403): expected one"),
    ],
)  # fmt: skip
def test_answers_of_the_hub_are_messages(fault, expected, client, hub):
    hub.faults.append(fault)
    message = client.refusal("fetch", "org/eng")
    assert message.startswith("org/eng")
    assert expected in message


def test_too_many_requests_for_a_moment_are_waited_for_and_that_is_said(client, hub):
    hub.faults.append(Fault("/cdn/", status=429, headers={"Retry-After": "1"}))
    answer = client("fetch", "org/eng")
    assert Path(answer["out"].strip()).is_dir()
    assert "org/eng: the Hub asks to wait (429); model.safetensors is gone on with in 1 s." in answer["err"]


def test_weights_that_are_broken_on_the_hub_are_of_the_repository(client, hub, models):
    """With the right checksum: no safetensors, another model's, a pickle cut short. The next fetch says so again."""
    hub.add("org/garbage", models["eng"] | {"model.safetensors": bytes(5000)})
    hub.add("org/other", models["eng"] | {"model.safetensors": models["deep"]["model.safetensors"]})
    hub.add("org/cut", models["bin"] | {"pytorch_model.bin": models["bin"]["pytorch_model.bin"][:-3000]})
    for name, why in (("garbage", "can't be read (5,000 bytes"), ("other", "is no parameter of"), ("cut", "truncated")):
        for _ in range(2):
            message = client.refusal("fetch", f"org/{name}")
            assert why in message
            assert "ake another revision" in message


def test_unknown_repositories_and_revisions_are_named(client, hub):
    assert "shows no such repository to this login" in client.refusal("fetch", "org/nothing")
    message = client.refusal("fetch", "org/eng@checkpoint_0001001")
    assert "no such revision: did you mean 'checkpoint_0001000'?" in message
    assert "is no id of the Hub" in client.refusal("fetch", "nothing")


def test_a_gated_repository_says_how_to_get_in_and_opens_to_a_token(client, hub):
    hub.gated.add("org/deu")
    message = client.refusal("fetch", "org/deu")
    assert "is gated" in message
    assert "hf auth login" in message
    assert folder_of(client, "org/deu", token=hub.token).is_dir()
    at_other_host = [seen for seen in hub.seen if "/cdn/" in seen.path]
    assert at_other_host
    assert all(seen.authorization is None for seen in at_other_host), "a token is not given to another host"


def test_a_login_that_was_not_let_in_is_told_so(client, hub):
    """Not as one that is none, and not as a repository that is not there."""
    hub.gated.add("org/deu")
    messages = [client.refusal("fetch", "org/deu"), client.refusal("fetch", "org/nothing")]
    forbidden = client.refusal("fetch", "org/deu", token="hf_another")
    assert (
        "org/deu is gated or forbidden to this login (answer 403): expected one that its owners have let in"
        in forbidden
    )
    assert "/org/deu, wait where its owners have to agree, then log in here with `hf auth login`" in forbidden
    assert "Accept the terms on http" in forbidden
    assert len({*messages, forbidden}) == 3
    assert not any("answer 403" in message for message in messages)


def test_a_repository_without_weights_says_what_it_has(client, hub):
    message = client.refusal("fetch", "org/adapter")
    assert "has no weights that can be read" in message
    assert "gguf" in message


def test_a_folder_that_takes_nothing_is_named(client, hub, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("INTERFERENCE_CACHE", str(tmp_path / "file"))
    message = client.refusal("fetch", "org/eng")
    assert f"org/eng can't be kept in {tmp_path / 'file'}: " in message
    assert "INTERFERENCE_CACHE to a folder on another disk; what was downloaded stays" in message


def test_a_disk_that_is_too_small_is_said_before_anything_is_downloaded(client, hub, models):
    hub.sizes["model.safetensors"] = 10**16
    message = client.refusal("fetch", "org/eng")
    assert "GiB of disk" in message
    assert hub.downloads() == []


def test_what_is_needed_of_disk_and_memory_is_said_before_weights_are_downloaded(client, hub, models):
    hub.faults.append(Fault("/cdn/", times=9, status=404))  # no weights ever come
    answer = client("fetch", "org/eng", "org/bin")
    assert answer["code"] == 2
    one = sum(p.numel() for p in llama(1).parameters())
    line = next(line for line in answer["err"].splitlines() if "to download" in line)
    resident = 2 * 4 * one + 4 * one  # two of float32 as they are stored, about, and one model
    said = re.search(r"Memory: ([\d.]+) MiB with all weights resident, of which ([\d.]+) MiB", line)
    assert said, line
    assert float(said[1]) == pytest.approx(resident / 2**20, rel=0.2)
    assert float(said[2]) == pytest.approx(4 * one / 2**20, abs=0.06)
    assert " of disk for it" in line
    assert answer["err"].index("Memory:") < answer["err"].index("(answer 404)")
    assert "Free here: " in answer["err"]


# Plans


def test_a_plan_says_what_fits_and_downloads_no_weights(client, hub, models):
    out = client.works("plan", "org/eng", "org/bin", "org/deep", "org/adapter", "--format", "json")
    rows = {row["id"]: row for row in json.loads(out)}
    assert rows["org/eng"]["weights"] == len(models["eng"]["model.safetensors"])
    table = client.works("plan", "org/eng", "org/adapter")
    assert f" {rows['org/eng']['weights']} " in table, "bytes are whole numbers, one lacking or not"
    assert rows["org/eng"]["parameters"] == sum(p.numel() for p in llama(1).parameters())
    assert rows["org/bin"]["format"] == "pickle, converted"
    assert rows["org/eng"]["why not with the first"] == rows["org/bin"]["why not with the first"] == ""
    assert "Only org/deep has model.layers.2." in rows["org/deep"]["why not with the first"]
    assert "has no weights" in rows["org/adapter"]["why not with the first"]
    assert {row["same tokenizer"] for row in rows.values()} == {True, None}
    assert {Path(seen.path).name for seen in hub.downloads()} == {"config.json"}


def test_a_plan_of_what_can_not_be_had_ends_as_a_refusal(client, hub):
    """After its table: where no model can be loaded, and where the disk is too small."""
    answer = client("plan", "org/adapter", "org/code")
    assert answer["code"] == 2
    assert "org/adapter" in answer["out"]
    assert "None of these can be loaded" in answer["err"]
    hub.sizes["model.safetensors"] = 10**16
    answer = client("plan", "org/eng")
    assert answer["code"] == 2
    assert "org/eng" in answer["out"]
    assert "GiB of disk and 1 to spare" in answer["err"]


def test_a_plan_counts_what_is_here(client, hub):
    client.works("fetch", "org/eng")
    row = json.loads(client.works("plan", "org/eng", "--format", "json"))[0]
    assert (row["to download"], row["here"]) == (0, True)


# Suites


def test_a_composed_suite_opens_once_it_is_fetched(client, hub, models, tmp_path):
    for code in ("eng", "deu"):
        hub.add(f"HPLT/hplt2c_{code}_checkpoints", models[code], "checkpoint_0001000")
    file = tmp_path / "suite.yaml"
    languages = ("--language", "eng", "--language", "deu")
    client.works("compose", "hplt-v2", *languages, "--revision", "checkpoint_0001000", "--out", str(file))
    answer = client.ask(arguments=["suite", str(file)])
    assert answer["code"] == 2
    assert "interference hub fetch HPLT/hplt2c_eng_checkpoints@checkpoint_0001000" in answer["err"]
    client.works("fetch", *(f"HPLT/hplt2c_{code}_checkpoints@checkpoint_0001000" for code in ("eng", "deu")))
    answer = client.ask(arguments=["suite", str(file), "--format", "json"])
    rows = json.loads(answer["out"])
    assert [(row["name"], row["role"], row["language"], row["step"]) for row in rows] == [
        ("mono-eng", "mono", "eng", 1000), ("mono-deu", "mono", "deu", 1000)
    ]  # fmt: skip


def test_an_id_that_was_fetched_is_a_checkpoint_by_its_name(client, hub):
    client.works("fetch", "org/eng@checkpoint_0001000")
    arguments = ["losses", "--checkpoint", "org/eng@checkpoint_0001000", "--language", "eng", "--sentences", "2"]
    answer = client.ask(arguments=[*arguments, "--format", "json"])
    assert json.loads(answer["out"])[0]["model"] == "org/eng@checkpoint_0001000"
    answer = client.ask(arguments=["losses", "--checkpoint", "org/deu"])
    assert answer["code"] == 2
    assert "`interference hub fetch org/deu` gets it" in answer["err"]


def test_the_catalogue_lists_what_the_hub_has(client, hub, models):
    hub.add("HPLT/hplt2c_swe_checkpoints", models["eng"])
    hub.add("HPLT/hplt2c_other", models["eng"])
    rows = json.loads(client.works("catalogue", "hplt-v2", "--listed", "--format", "json"))
    found = {row["id"]: row["language"] for row in rows}
    assert found["HPLT/hplt2c_swe_checkpoints"] == "swe"
    assert found["HPLT/hplt2c_zhos_checkpoints"] == "zho"
    assert "HPLT/hplt2c_other" not in found


# Data sets


def flores(languages: dict[str, list[str]]) -> dict[str, bytes]:
    """A data set with a folder for each half and a table for each language."""
    rows = {
        name: "\n".join(json.dumps({"id": n, "text": t, "url": f"u{n // 2}"}) for n, t in enumerate(sentences)).encode()
        for name, sentences in languages.items()
    }
    return {f"{half}/{name}.jsonl": text for half in ("dev", "devtest") for name, text in rows.items()}


def test_a_data_set_becomes_a_corpus_of_the_languages_asked_for(client, hub, tmp_path):
    texts = {"eng_Latn": ["a", "b", "c", "d"], "deu_Latn": ["e", "f", "g", "h"], "fra_Latn": ["i", "j", "k", "l"]}
    hub.add("org/flores", flores(texts), kind="datasets")
    hub.gated.add("org/flores")
    asked = ["corpus", "org/flores", "--language", "eng=eng_Latn", "--language", "deu=deu_Latn"]
    asked += ["--inside", "devtest", "--document", "url", "--out", str(tmp_path / "c.yaml")]
    assert "is gated" in client.refusal(*asked)
    assert not (tmp_path / "c.yaml").exists()
    client.works(*asked, token=hub.token)
    assert not [seen for seen in hub.downloads() if "fra_Latn" in seen.path or "/dev/" in seen.path]
    corpus = read_corpus(tmp_path / "c.yaml")
    assert corpus.sentences == {"eng": ("a", "b", "c", "d"), "deu": ("e", "f", "g", "h")}
    assert corpus.documents == ("u0", "u0", "u1", "u1")
    known = len(hub.seen)
    assert "c.yaml exists already" in client.refusal(*asked, token=hub.token)
    assert len(hub.seen) == known, "it is refused before anything is asked or downloaded"
    more = [word.replace("deu", "fra").replace("c.yaml", "more.yaml") for word in asked]
    client.works(*more, token=hub.token)
    assert read_corpus(tmp_path / "more.yaml").sentences["fra"] == ("i", "j", "k", "l")


def test_a_data_set_of_one_table_maps_its_columns(client, hub, tmp_path):
    rows = [{"sentence_en": "a", "sentence_de": "b"}, {"sentence_en": "c", "sentence_de": "d"}]
    hub.add("org/wide", {"data/all.jsonl": "\n".join(map(json.dumps, rows)).encode()}, kind="datasets")
    languages = ["--language", "eng=sentence_en", "--language", "deu=sentence_de"]
    client.works("corpus", "org/wide", *languages, "--inside", "data", "--out", str(tmp_path / "w.yaml"))
    assert read_corpus(tmp_path / "w.yaml").sentences == {"eng": ("a", "c"), "deu": ("b", "d")}
    client.works("corpus", "org/wide", *languages[:2], "--inside", "data", "--out", str(tmp_path / "one.yaml"))
    assert read_corpus(tmp_path / "one.yaml").sentences == {"eng": ("a", "c")}


def test_a_data_set_with_a_folder_for_each_language_has_splits_in_it(client, hub, tmp_path):
    """They are not put together: one is named, or nothing is downloaded."""
    rows = {code: "".join(json.dumps({"text": f"{code} {n}"}) + "\n" for n in range(2)) for code in ("eng", "deu")}
    hub.add(
        "org/splits", {f"{c}_Latn/{s}.jsonl": rows[c].encode() for c in rows for s in ("dev", "test")}, kind="datasets"
    )
    asked = ["corpus", "org/splits", "--out", str(tmp_path / "s.yaml"), "--language"]
    message = client.refusal(*asked, "eng=eng_Latn")
    assert "several texts named 'eng_Latn' in '.': eng_Latn/dev.jsonl, eng_Latn/test.jsonl" in message
    assert not hub.downloads()
    client.works(*asked, "eng=eng_Latn/dev.jsonl,deu=deu_Latn/dev.jsonl")
    assert not [seen for seen in hub.downloads() if "test" in seen.path]
    assert read_corpus(tmp_path / "s.yaml").sentences == {"eng": ("eng 0", "eng 1"), "deu": ("deu 0", "deu 1")}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (["--inside", "tset"], "It has some in: dev, devtest"),
        (["--inside", "dev", "--language", "eng=eng_Lat"], "did you mean 'eng_Latn'?"),
        ([], "no text named 'deu_Latn' in '.': it has some in: dev, devtest. Give one with --inside"),
        (["--inside", "dev", "--text", "sentence"], "--text of `interference hub corpus`"),
    ],
)
def test_what_a_data_set_lacks_is_named(more, expected, client, hub, tmp_path):
    hub.add("org/texts", flores({"eng_Latn": ["a"], "deu_Latn": ["b"]}), kind="datasets")
    asked = ["corpus", "org/texts", "--language", "deu=deu_Latn", *more, "--out", str(tmp_path / "c.yaml")]
    assert expected in client.refusal(*asked)


# The Models page


def test_the_page_composes_downloads_and_opens_a_suite(client, hub, models, tmp_path):
    for code in ("eng", "deu"):
        hub.add(f"HPLT/hplt2c_{code}_checkpoints", models[code], "checkpoint_0002000")
    corpus = write_corpus(tmp_path / "text.tsv")
    asked = {"languages": ["eng", "deu"], "revision": "checkpoint_0002000", "corpus": str(corpus)}
    said = client.ask(page=asked)
    assert [row["why not with the first"] for row in said["table"]] == ["", ""]
    assert said["before"], "opened before it is here"
    assert said["suite"].endswith("hplt-v2-eng-deu-checkpoint_0002000/suite.yaml")
    assert any("2 checkpoints, 12 test sentences" in caption for caption in said["captions"])
    assert not [message for message in said["messages"] if "Downloaded and checked" not in message]


def test_the_page_says_what_went_wrong_and_stays(client, hub, tmp_path):
    said = client.ask(page={"languages": ["fra"], "revision": "main", "corpus": ""})
    assert any("HPLT/hplt2c_fra_checkpoints: the Hub shows no such repository" in m for m in said["messages"])
    assert said["suite"] == ""
