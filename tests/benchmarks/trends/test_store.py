"""The file of a history."""

import sqlite3
import threading
from dataclasses import replace

import pytest

from pocketvae.benchmarks import NotRun, verify_bundle
from pocketvae.benchmarks.devices import Device, DeviceState, Fleet
from pocketvae.benchmarks.trends.store import Added, History, Origin
from pocketvae.documents import encode
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


def test_a_result_is_added_once(tmp_path, written, verified):
    with History(tmp_path / "h.sqlite", create=True) as history:
        assert history.add(written(), Origin(revision="abc", label="main")) == Added(figures=len(verified.checks))
        assert history.add(written(), Origin(revision="other")) == Added(figures=0)
        entries = history.entries()
    assert len(entries) == len(verified.checks)
    assert {(entry.origin.revision, entry.origin.label) for entry in entries} == {("abc", "main")}
    assert {entry.value for entry in entries} == {check.value for check in verified.checks}
    assert all(entry.passed for entry in entries)


def test_the_label_of_a_result_that_is_there_already_changes(tmp_path, written):
    with History(tmp_path / "h.sqlite", create=True) as history:
        history.add(written(), Origin(revision="abc", label="main"))
        history.add(written(1), Origin(label="main"))
        assert history.add(written(), Origin(label="v1")) == Added(figures=0, label="v1", old_label="main")
        assert history.add(written(), Origin(label="v1")) == Added(figures=0)
        entries = history.entries()
    assert {(entry.number, entry.origin) for entry in entries} == {
        (1, Origin(revision="abc", label="v1")),
        (2, Origin(label="main")),
    }


def test_a_fleet_is_kept_by_model(tmp_path, verified):
    fleet = Fleet(
        name="fleet.toml",
        selection="",
        elapsed_s=1.0,
        devices=tuple(
            Device(name=name, target=name, model="pixel-6", labels={}, state=state)
            for name, state in (("a", DeviceState.DONE), ("b", DeviceState.DONE), ("c", DeviceState.LOST))
        ),
    )
    checks = tuple(replace(check, target=name) for name in "ab" for check in verified.checks)
    lost = (NotRun(artifact=verified.checks[0].artifact, target="c", reason="gone"),)
    path = tmp_path / "fleet.json"
    path.write_text(encode(replace(verified, checks=checks, not_run=lost, fleet=fleet)))
    with History(tmp_path / "h.sqlite", create=True) as history:
        assert history.add(path, Origin()) == Added(figures=len(verified.checks))
        entries = history.entries()
    assert {entry.target for entry in entries} == {"pixel-6"}
    assert all(entry.passed for entry in entries)


def test_it_is_there_again_when_it_is_opened_again(tmp_path, written):
    path = tmp_path / "h.sqlite"
    for number in range(3):
        with History(path, create=True) as history:
            history.add(written(number), Origin())
    with History(path, create=False) as history:
        assert [*dict.fromkeys(entry.number for entry in history.entries())] == [1, 2, 3]


def test_several_add_at_the_same_time(tmp_path, written):
    results, problems = [written(number) for number in range(8)], []

    def add(result):
        try:
            with History(tmp_path / "h.sqlite", create=True) as history:
                history.add(result, Origin())
        except Exception as e:
            problems.append(e)

    threads = [threading.Thread(target=add, args=(result,)) for result in results]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    with History(tmp_path / "h.sqlite", create=False) as history:
        assert len({entry.number for entry in history.entries()}) == 8


def test_what_is_no_result_adds_nothing(tmp_path, written):
    other = tmp_path / "other.json"
    other.write_text('{"schema_version": 1}')
    with History(tmp_path / "h.sqlite", create=True) as history:
        with pytest.raises(ManifestError, match="is not a bundle or a result of verify"):
            history.add(other, Origin())
        broken = tmp_path / "broken.json"
        broken.write_text(written().read_text()[:-40])
        with pytest.raises(ManifestError, match=r"broken\.json"):
            history.add(broken, Origin())
        assert history.entries() == []


@pytest.mark.parametrize("content", [b"text", b"SQLite format 3\x00" + bytes(200)])
def test_another_file_is_left_alone(tmp_path, content):
    path = tmp_path / "h.sqlite"
    path.write_bytes(content)
    with pytest.raises(SpecError, match="is not a history of pocketvae"):
        History(path, create=True)
    assert path.read_bytes() == content


def test_another_database_is_left_alone(tmp_path):
    path = tmp_path / "h.sqlite"
    with sqlite3.connect(path) as base:
        base.execute("CREATE TABLE mine (a)")
    base.close()
    before = path.read_bytes()
    with pytest.raises(SpecError, match="is not a history of pocketvae"):
        History(path, create=True)
    assert path.read_bytes() == before


def test_a_newer_one_is_refused(tmp_path):
    path = tmp_path / "h.sqlite"
    History(path, create=True).__exit__(None, None, None)
    with sqlite3.connect(path) as base:
        base.execute("PRAGMA user_version = 2")
    base.close()
    with pytest.raises(SpecError, match="has version 2, and this pocketvae knows version 1"):
        History(path, create=False)


def test_one_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SpecError, match="does not exist: pocketvae history add"):
        History(tmp_path / "h.sqlite", create=False)
    with pytest.raises(SpecError, match="the folder of .* does not exist"):
        History(tmp_path / "no" / "h.sqlite", create=True)
    assert not (tmp_path / "h.sqlite").exists()
