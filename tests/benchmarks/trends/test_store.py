"""The file of a history."""

import sqlite3
import threading
from dataclasses import replace

import pytest

from pocketvae.benchmarks import NotRun, VerifyResult, verify_bundle
from pocketvae.benchmarks.devices import Device, DeviceState, Fleet
from pocketvae.benchmarks.trends import store
from pocketvae.benchmarks.trends.store import Added, History, Origin, add_results
from pocketvae.documents import decode, encode
from pocketvae.errors import ManifestError, SpecError


@pytest.fixture(scope="module")
def verified(tmp_path_factory, bundles):
    return verify_bundle(bundles.make_bundle(tmp_path_factory.mktemp("store") / "b"))


@pytest.fixture
def written(tmp_path, verified):
    """Writes a result, each another one."""

    def write(number=0):
        path = tmp_path / f"verify-{number}.json"
        path.write_text(encode(replace(verified, bundle=f"b{number}")))
        return path

    return write


@pytest.fixture
def db(tmp_path):
    return tmp_path / "h.sqlite"


def add(db, result, origin=None):
    return add_results(db, [result], origin or Origin())[0]


def entries_of(db):
    with History(db) as history:
        return history.entries()


def test_a_result_is_added_once(db, written, verified):
    assert add(db, written(), Origin(revision="abc", label="main")) == Added(figures=len(verified.checks))
    assert add(db, written(), Origin(revision="other")) == Added(figures=0, is_known=True)
    entries = entries_of(db)
    assert len(entries) == len(verified.checks)
    assert {(entry.origin.revision, entry.origin.label) for entry in entries} == {("abc", "main")}
    assert {entry.value for entry in entries} == {check.value for check in verified.checks}
    assert all(entry.passed for entry in entries)


def test_the_label_of_a_result_that_is_there_already_changes(db, written):
    add(db, written(), Origin(revision="abc", label="main"))
    add(db, written(1), Origin(label="main"))
    assert add(db, written(), Origin(label="v1")) == Added(figures=0, is_known=True, label="v1", old_label="main")
    assert add(db, written(), Origin(label="v1")) == Added(figures=0, is_known=True)
    assert {(entry.number, entry.origin) for entry in entries_of(db)} == {
        (1, Origin(revision="abc", label="v1")),
        (2, Origin(label="main")),
    }


@pytest.fixture
def of_fleet(tmp_path, verified):
    """A result of two models: of one a device is lost and another fails, of the other the only one is lost."""
    states = {"a": DeviceState.DONE, "b": DeviceState.DONE, "c": DeviceState.LOST, "d": DeviceState.LOST}
    devices = tuple(
        Device(
            name=name,
            target=name,
            model="pi" if name == "d" else "pixel-6",
            labels={},
            state=state,
            reason="gone" if state is DeviceState.LOST else "",
        )
        for name, state in states.items()
    )
    checks = tuple(
        replace(check, target=name, passed=(name, place) != ("b", 0))
        for name in "ab"
        for place, check in enumerate(verified.checks)
    )
    lost = tuple(NotRun(artifact=verified.checks[0].artifact, target=name, reason="gone") for name in "cd")
    fleet = Fleet(name="fleet.toml", selection="", elapsed_s=1.0, devices=devices)
    path = tmp_path / "fleet.json"
    path.write_text(encode(replace(verified, checks=checks, not_run=lost, fleet=fleet)))
    return path


def test_a_fleet_is_kept_by_model_with_the_devices_that_fail_and_those_that_are_lost(db, of_fleet, verified):
    assert add(db, of_fleet) == Added(figures=len(verified.checks))
    with History(db) as history:
        entries, devices = history.entries(), history.devices()
    assert {entry.target for entry in entries} == {"pixel-6"}
    [failed] = [entry for entry in entries if not entry.passed]
    first = verified.checks[0]
    assert (failed.artifact, failed.what) == (first.artifact, f"{first.output} {first.metric}".strip())
    assert failed.failed_on == ("b",)
    assert [(item.name, item.model, item.state.value, item.reason) for item in devices] == [
        ("a", "pixel-6", "done", ""),
        ("b", "pixel-6", "done", ""),
        ("c", "pixel-6", "lost", "gone"),
        ("d", "pi", "lost", "gone"),
    ]


def test_devices_elsewhere_are_one_series_from_whatever_machine_they_are_reached(db, of_fleet):
    document = decode(VerifyResult, of_fleet.read_bytes(), "fleet.json")
    add(db, of_fleet)
    other = replace(document.environment, cpu="another CPU")
    of_fleet.write_text(encode(replace(document, environment=other)))
    add(db, of_fleet)
    assert {entry.machine for entry in entries_of(db)} == {""}
    here = tuple(replace(item, target="host") if item.name == "a" else item for item in document.fleet.devices)
    of_fleet.write_text(encode(replace(document, fleet=replace(document.fleet, devices=here))))
    add(db, of_fleet)
    assert {entry.machine.partition(",")[0] for entry in entries_of(db) if entry.number == 3} == {
        document.environment.cpu
    }


def test_a_result_of_lost_devices_alone_is_added(db, of_fleet, tmp_path, verified):
    document = decode(VerifyResult, of_fleet.read_bytes(), "fleet.json")
    devices = tuple(replace(item, state=DeviceState.LOST) for item in document.fleet.devices)
    of_fleet.write_text(encode(replace(document, checks=(), fleet=replace(document.fleet, devices=devices))))
    assert add(db, of_fleet) == Added(figures=0)
    with History(db) as history:
        assert [item.state for item in history.devices()] == [DeviceState.LOST] * 4


def test_a_file_of_the_first_version_is_read_and_goes_on(db, written, of_fleet):
    add(db, written())
    with sqlite3.connect(db) as base:
        for table in ("devices", "failures"):
            base.execute(f"DROP TABLE {table}")
        base.execute("ALTER TABLE results DROP COLUMN bundle")
        base.execute("PRAGMA user_version = 1")
    base.close()
    before = db.read_bytes()
    with History(db) as history:
        assert history.devices() == []
        assert {(entry.number, entry.bundle) for entry in history.entries()} == {(1, "")}
    assert db.read_bytes() == before
    add(db, of_fleet)
    with History(db) as history:
        assert {item.number for item in history.devices()} == {2}
        assert {(entry.number, entry.bundle) for entry in history.entries()} == {(1, ""), (2, "tiny")}


def test_a_file_of_the_second_version_goes_on(db, written):
    add(db, written())
    with sqlite3.connect(db) as base:
        base.execute("ALTER TABLE results DROP COLUMN bundle")
        base.execute("PRAGMA user_version = 2")
    base.close()
    assert {entry.bundle for entry in entries_of(db)} == {""}
    add(db, written(1))
    assert {(entry.number, entry.bundle) for entry in entries_of(db)} == {(1, ""), (2, "b1")}


def test_it_is_there_again_when_it_is_opened_again(db, written):
    for number in range(3):
        add(db, written(number))
    assert [*dict.fromkeys(entry.number for entry in entries_of(db))] == [1, 2, 3]


def test_several_add_at_the_same_time(db, written):
    results, problems = [written(number) for number in range(8)], []

    def work(result):
        try:
            add(db, result)
        except Exception as e:
            problems.append(e)

    threads = [threading.Thread(target=work, args=(result,)) for result in results]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert len({entry.number for entry in entries_of(db)}) == 8


def test_what_is_no_result_adds_nothing(db, tmp_path, written):
    other = tmp_path / "other.json"
    other.write_text('{"schema_version": 1}')
    with pytest.raises(
        ManifestError, match=r"other\.json is not a result: name a file that verify --json or bench --json wrote$"
    ):
        add(db, other)
    broken = tmp_path / "broken.json"
    broken.write_text(written().read_text()[:-40])
    with pytest.raises(ManifestError, match=r"broken\.json"):
        add(db, broken)
    assert not db.exists()


def test_an_interruption_leaves_no_file_and_no_half_of_one(db, tmp_path, written, monkeypatch):
    first, second = written(), written(1)
    machine_of = store.machine_of

    def interrupted(side):
        if calls.append(side) or len(calls) == 2:
            raise KeyboardInterrupt
        return machine_of(side)

    calls: list[object] = []
    monkeypatch.setattr(store, "machine_of", interrupted)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(KeyboardInterrupt):
        add_results(db, [first, second], Origin())
    assert sorted(tmp_path.iterdir()) == before
    monkeypatch.setattr(store, "machine_of", machine_of)
    add(db, first)
    calls.clear()
    third = written(2)
    monkeypatch.setattr(store, "machine_of", interrupted)
    with pytest.raises(KeyboardInterrupt):
        add_results(db, [second, third], Origin())
    assert {entry.number for entry in entries_of(db)} == {1}


def test_a_full_disk_is_the_reason_that_is_told(db, written):
    add(db, written())
    with History(db) as history:
        # SQLite's own limit, which ends a transaction as a full disk does.
        (pages,) = history._base.execute("PRAGMA page_count").fetchone()
        history._base.execute(f"PRAGMA max_page_count = {pages}")
        results = [store._read(written(number)) for number in range(1, 40)]
        with pytest.raises(SpecError, match="cannot be written: database or disk is full"):
            history.insert(results, Origin())
    assert {entry.number for entry in entries_of(db)} == {1}


@pytest.mark.parametrize("content", [b"text", b"SQLite format 3\x00" + bytes(200)])
def test_another_file_is_left_alone(db, written, content):
    db.write_bytes(content)
    with pytest.raises(SpecError, match="is not a history of pocketvae"):
        add(db, written())
    assert db.read_bytes() == content


def test_another_database_is_left_alone(db, written):
    with sqlite3.connect(db) as base:
        base.execute("CREATE TABLE mine (a)")
    base.close()
    before = db.read_bytes()
    with pytest.raises(SpecError, match="is not a history of pocketvae"):
        add(db, written())
    assert db.read_bytes() == before


def test_an_empty_file_becomes_a_history(db, written):
    db.touch()
    assert entries_of(db) == []
    add(db, written())
    assert {entry.number for entry in entries_of(db)} == {1}


def test_a_newer_one_is_refused(db, written):
    add(db, written())
    with sqlite3.connect(db) as base:
        base.execute("PRAGMA user_version = 4")
    base.close()
    with pytest.raises(SpecError, match="has version 4, and this pocketvae knows version 3"):
        History(db)


def test_one_that_is_not_there_is_named(db, tmp_path, written):
    with pytest.raises(SpecError, match="does not exist: pocketvae history add"):
        History(db)
    with pytest.raises(SpecError, match="the folder of .* does not exist"):
        add(tmp_path / "no" / "h.sqlite", written())
    with pytest.raises(
        SpecError, match="--db takes a file, and .* is a folder: name one in it, such as .*history.sqlite"
    ):
        add(tmp_path, written())
    assert not db.exists()
