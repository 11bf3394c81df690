"""The store: what was never scored stays NaN, writers do not hurt each other, and a full disk stops no scoring."""

import shutil
import sqlite3
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch

from interference.errors import UserError
from interference.evaluate import Evaluator
from interference.scored import Request
from interference.store import Store, default_folder, digest, list_findings, read_findings, write_findings
from interference.suite import open_suite

WRITER = """
import sys, numpy as np
from pathlib import Path
from interference.store import Store
store, name = Store(Path(sys.argv[1])), sys.argv[2]
for number in range(100):
    store.write(f"{name}-{number}", np.full(500, float(number)))
    store.write("both", np.full(500, float(ord(name))))
"""


def test_what_is_written_is_read_back_to_the_last_bit(tmp_path):
    bits = np.random.default_rng(0).normal(size=50) * np.pi
    Store(tmp_path).write("k", bits)
    np.testing.assert_array_equal(Store(tmp_path).read("k", 50), bits)


def test_unknown_key_is_all_holes(tmp_path):
    found = Store(tmp_path).read("never", 7)
    assert found.shape == (7,)
    assert np.isnan(found).all()


def test_holes_stay_holes(tmp_path):
    """A sentence that was not scored is NaN, never 0 and never another sentence's bits."""
    bits = np.array([1.5, np.nan, 0.0, np.nan])
    store = Store(tmp_path)
    store.write("k", bits)
    np.testing.assert_array_equal(store.read("k", 4), bits)


def test_array_of_another_length_is_not_used(tmp_path):
    store = Store(tmp_path)
    store.write("k", np.ones(3))
    assert np.isnan(store.read("k", 4)).all()


@pytest.mark.parametrize("length", [2, 500])
def test_an_array_that_was_cut_off_is_none(length, tmp_path):
    """Whether it is short, or so long that it was packed."""
    Store(tmp_path).write("key", np.ones(length))
    store = Store(tmp_path)
    store._connection.execute("update bits set value = substr(value, 1, 11)")
    assert np.isnan(store.read("key", length)).all()


def test_few_sentences_of_a_large_corpus_take_little_room(tmp_path):
    bits = np.full(100_000, np.nan)
    bits[::500] = np.random.default_rng(0).normal(size=200)
    Store(tmp_path).write("k", bits)
    store = Store(tmp_path)
    np.testing.assert_array_equal(store.read("k", len(bits)), bits)
    assert store._connection.execute("select length(value) from bits").fetchone()[0] < 10_000


def test_an_array_that_was_kept_unpacked_is_read(tmp_path):
    """As versions before did."""
    store, bits = Store(tmp_path), np.ones(500)
    store._insert("k", bits.tobytes())
    np.testing.assert_array_equal(store.read("k", 500), bits)


def test_what_is_held_in_memory_is_bounded_in_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr("interference.store._RECENT", 10_000)
    store = Store(tmp_path)
    for number in [*range(50), *range(50)]:
        store.write(f"{number}", np.full(100, float(number)))
    assert sum(array.nbytes for array in store._recent.values()) == store._held <= 10_000
    assert [store.read(f"{number}", 100)[0] for number in range(50)] == list(range(50))


def test_the_file_is_bounded_and_what_is_used_stays(tmp_path, monkeypatch):
    """Two servers keep ten times of what it may hold; one reads its reference again and again, as every table does."""
    monkeypatch.setattr("interference.store._DISK", 400_000)
    stores = [Store(tmp_path) for _ in range(2)]
    stores[0].write("used", np.ones(4))
    stores[0].write("left", np.ones(4))
    random = np.random.default_rng(0).random((1000, 500))
    for number, bits in enumerate(random):
        stores[number % 2].write(f"{number}", bits)
        assert Store(tmp_path).read("used", 4)[0] == 1
    again = Store(tmp_path)
    assert np.isnan(again.read("left", 4)).all()
    for number in range(970, 1000):  # a job's own
        np.testing.assert_array_equal(again.read(f"{number}", 500), random[number])
    for store in stores:
        store.close()
    assert (tmp_path / "results.sqlite").stat().st_size < 500_000


def test_a_file_that_is_too_large_becomes_smaller(tmp_path, monkeypatch):
    store = Store(tmp_path)
    for number in range(200):
        store.write(f"{number}", np.random.default_rng(number).random(500))
    monkeypatch.setattr("interference.store._DISK", 400_000)
    before = store._bytes()
    for number in range(20):
        store.write(f"new {number}", np.random.default_rng(number).random(500))
    assert before > 800_000 > 420_000 > store._bytes()
    assert Store(tmp_path).read("new 0", 500)[0] == np.random.default_rng(0).random(500)[0]


def test_one_result_larger_than_the_file_may_be_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("interference.store._DISK", 400_000)
    Store(tmp_path).write("large", large := np.random.default_rng(0).random(100_000))
    np.testing.assert_array_equal(Store(tmp_path).read("large", 100_000), large)


def test_what_is_read_may_be_changed_without_changing_the_store(tmp_path):
    store = Store(tmp_path, {"shipped": np.ones(2, np.float32)})
    store.write("k", np.ones(2))
    for key in ("k", "shipped"):
        store.read(key, 2)[:] = 9
        np.testing.assert_array_equal(store.read(key, 2), [1, 1])


def test_shipped_arrays_come_first_in_float64(tmp_path):
    store = Store(tmp_path, {"k": np.array([1.5], np.float32)})
    assert store.read("k", 1).dtype == np.float64
    assert store.read("k", 1)[0] == 1.5


def test_shipped_array_of_another_length_is_not_used(tmp_path):
    store = Store(tmp_path, {"k": np.ones(3, np.float32)})
    assert np.isnan(store.read("k", 4)).all()
    store.write("k", np.full(4, 2.0))
    np.testing.assert_array_equal(store.read("k", 4), [2, 2, 2, 2])


def test_folder_comes_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("INTERFERENCE_CACHE", str(tmp_path / "given"))
    Store().write("k", np.ones(1))
    assert (tmp_path / "given" / "results.sqlite").is_file()
    monkeypatch.delenv("INTERFERENCE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "interference"


def test_two_processes_write_at_once_and_lose_nothing(tmp_path):
    """200 keys of two writers are all there, and a key that both write holds one writer's array whole."""
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    writers = [subprocess.Popen([*command, name], stderr=subprocess.PIPE, text=True) for name in "ab"]
    assert [(w.communicate()[1], w.returncode) for w in writers] == [("", 0)] * 2
    store = Store(tmp_path)
    for name in "ab":
        for number in range(100):
            np.testing.assert_array_equal(store.read(f"{name}-{number}", 500), np.full(500, float(number)))
    assert set(store.read("both", 500)) in ({float(ord("a"))}, {float(ord("b"))})


def test_opening_waits_for_one_who_is_just_making_the_file(tmp_path):
    """Another process writes to the new file while its journal is to change: SQLite alone gives up at once."""
    other = sqlite3.connect(tmp_path / "results.sqlite", check_same_thread=False)
    other.execute("create table seen (a)")
    other.commit()
    other.execute("begin immediate")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        sqlite3.connect(tmp_path / "results.sqlite", timeout=30).execute("pragma journal_mode=wal")
    release = threading.Timer(0.3, other.rollback)
    release.start()
    store = Store(tmp_path)
    release.join()
    store.write("k", np.ones(1))
    assert store.read("k", 1)[0] == 1


def test_threads_share_one_store(tmp_path):
    store, failures = Store(tmp_path), []

    def work(number: int) -> None:
        try:
            for step in range(30):
                store.write(f"{number}", np.full(20, float(step)))
                assert len(set(store.read(f"{number}", 20))) == 1
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures
    assert [store.read(f"{number}", 20)[0] for number in range(4)] == [29] * 4


@pytest.mark.parametrize("kind", ["a file where the folder should be", "no database", "a folder in its place"])
def test_place_that_cannot_hold_results_is_one_message(kind, tmp_path):
    """The message names the file and the way out."""
    folder = tmp_path / "store"
    if kind == "a file where the folder should be":
        folder.write_text("here")
    else:
        folder.mkdir()
        file = folder / "results.sqlite"
        file.write_bytes(b"not a database" * 100) if kind == "no database" else file.mkdir()
    with pytest.raises(UserError) as error:
        Store(folder)
    assert str(folder / "results.sqlite") in str(error.value)
    assert "INTERFERENCE_CACHE" in str(error.value)


def test_on_a_full_disk_results_are_held_in_memory(tmp_path):
    """SQLite's own limit of pages stands in for the disk: the same error, raised at the same place."""
    store = Store(tmp_path)
    store.write("kept", np.ones(4))
    store._connection.execute("pragma max_page_count = 4")
    large = np.random.default_rng(0).random(100_000)
    store.write("large", large)
    assert str(tmp_path / "results.sqlite") in store.said
    assert "INTERFERENCE_CACHE" in store.said
    np.testing.assert_array_equal(store.read("large", 100_000), large)
    np.testing.assert_array_equal(store.read("kept", 4), np.ones(4))
    again = Store(tmp_path)
    np.testing.assert_array_equal(again.read("kept", 4), np.ones(4))
    assert np.isnan(again.read("large", 100_000)).all()
    store._connection.execute("pragma max_page_count = 1000")
    store.write("large", large)
    assert not store.said
    np.testing.assert_array_equal(Store(tmp_path).read("large", 100_000), large)


@pytest.mark.parametrize("code", [sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE])
def test_a_disk_that_is_full_from_the_start_stops_nothing(code, tmp_path, monkeypatch):
    """The file can't be made, or its index in shared memory can't."""
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = code
    connect = sqlite3.connect

    def full(place, **options):
        if place != ":memory:":
            raise error
        return connect(place, **options)

    monkeypatch.setattr(sqlite3, "connect", full)
    store = Store(tmp_path)
    store.write("k", np.ones(4))
    np.testing.assert_array_equal(store.read("k", 4), np.ones(4))
    assert str(tmp_path / "results.sqlite") in store.said
    with pytest.raises(UserError, match="full"):  # what is somebody's own work is not held in memory
        write_findings("mine", "{}", folder=tmp_path)
    store.write_document("d", "text")
    monkeypatch.setattr(sqlite3, "connect", connect)
    store.write("later", np.ones(4))
    assert not store.said
    again = Store(tmp_path)
    assert [again.read(key, 4)[0] for key in ("k", "later")] == [1, 1]
    assert again.read_document("d") == "text"


def test_whoever_looks_for_findings_needs_no_room(tmp_path):
    """On a full disk the page would end with a message about what nobody has asked to keep."""
    assert list_findings(tmp_path / "none") == ()
    assert not (tmp_path / "none").exists()
    Store(tmp_path).close()
    before = (tmp_path / "results.sqlite").read_bytes()
    assert read_findings("mine", tmp_path) is None
    assert (tmp_path / "results.sqlite").read_bytes() == before


def test_a_table_says_that_its_numbers_are_not_kept(suite_folder, tmp_path):
    store = Store(tmp_path)
    evaluator = Evaluator(open_suite(suite_folder), store, torch.device("cpu"))
    store._connection.execute("pragma max_page_count = 4")
    number = 0
    while not store.said:
        store.write(f"{number}", np.zeros(1))
        number += 1
    table = evaluator.table(Request((("init", "init"),), ("eng",), 12))
    assert "held in memory only" in table.notes[-1]
    assert table.frame["bits"].notna().all()


def test_store_that_breaks_while_open_is_a_message_when_read(tmp_path):
    """The table is gone under an open store: reading says so as writing does, without a database's own exception."""
    store = Store(tmp_path)
    with sqlite3.connect(tmp_path / "results.sqlite") as other:
        other.execute("drop table bits")
    with pytest.raises(UserError, match=r"results\.sqlite"):
        store.read("k", 1)
    with pytest.raises(UserError, match=r"results\.sqlite"):
        store.write("k", np.ones(1))


@pytest.mark.parametrize("gone", ["folder", "all files", "database"])
def test_what_is_kept_after_the_place_was_cleared_is_there_for_others(gone, tmp_path):
    """Somebody makes room under a server that has run for weeks, with several suites open."""
    stores = [Store(tmp_path / "store") for _ in range(2)]
    stores[0].write("before", np.ones(4))
    if gone == "folder":
        shutil.rmtree(tmp_path / "store")
    for file in (tmp_path / "store").glob("*" if gone == "all files" else "results.sqlite"):
        file.unlink()
    for number, store in enumerate([*stores, *stores]):
        store.write(f"{number}", np.full(4, float(number)))
    write_findings("mine", "{}", folder=tmp_path / "store")
    again = Store(tmp_path / "store")
    assert [again.read(f"{number}", 4)[0] for number in range(4)] == [0, 1, 2, 3]
    assert stores[0].read("before", 4)[0] == 1


def test_an_open_store_goes_on_when_its_broken_file_was_deleted_as_told(tmp_path):
    store, file = Store(tmp_path / "store"), tmp_path / "store" / "results.sqlite"
    Store(tmp_path / "store").write("of another", np.ones(500))  # so that what is there is not at hand
    store._connection.execute("pragma wal_checkpoint(truncate)")
    file.write_bytes(b"no database" * 1000)
    with pytest.raises(UserError, match="delete a broken file"):
        store.write("k", np.ones(4))
    file.unlink()
    file.mkdir()
    for _ in range(2):
        with pytest.raises(UserError, match="unable to open"):
            store.write("k", np.ones(4))
    file.rmdir()
    store.write("k", np.ones(4))
    assert Store(tmp_path / "store").read("k", 4)[0] == 1


def test_digest_tells_parts_apart():
    """Order, grouping and type of the parts are part of it; equal parts give equal digests in every process."""
    different = [
        digest("a", "b"),
        digest("b", "a"),
        digest("ab"),
        digest(["a", "b"]),
        digest("a", "b", None),
        digest(1),
    ]
    assert len({*different, digest("1")}) == 7
    code = "from interference.store import digest; print(digest('a', ['b', 1.5], None))"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert other == digest("a", ["b", 1.5], None)
