import subprocess
import sys
from pathlib import Path

import pytest

from pocketvae.errors import DataError, OutputExistsError
from pocketvae.system import folders

# Windows has no signals: the number is the exit code.
KILLED = 9 if sys.platform == "win32" else -9


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_staged_directory_appears_when_the_block_ends(tmp_path):
    final = tmp_path / "bundle"
    with folders.staged_directory(final, force=False) as staging:
        (staging / "x").write_text("1")
        assert not final.exists()
    assert (final / "x").read_text() == "1"
    assert names(tmp_path) == ["bundle"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_interrupted_staged_directory_leaves_nothing(tmp_path, error):
    def write_and_fail():
        with folders.staged_directory(tmp_path / "bundle", force=False) as staging:
            (staging / "x").write_text("1")
            raise error

    with pytest.raises(error):
        write_and_fail()
    assert names(tmp_path) == []


def test_an_interruption_with_force_keeps_the_old_directory(tmp_path):
    final = tmp_path / "bundle"
    final.mkdir()
    (final / "old").touch()
    with pytest.raises(KeyboardInterrupt), folders.staged_directory(final, force=True):
        raise KeyboardInterrupt
    assert names(final) == ["old"]


def test_force_replaces_the_whole_directory(tmp_path):
    final = tmp_path / "bundle"
    final.mkdir()
    (final / "old").touch()
    with folders.staged_directory(final, force=True) as staging:
        (staging / "new").touch()
    assert names(final) == ["new"]
    assert names(tmp_path) == ["bundle"]


MILESTONE = "checkpoints/state"


def resumable(final, **changes):
    return folders.resumable_directory(final, **{"force": False, "resume": False, "milestone": MILESTONE, **changes})


def interrupt(final, content="1", *, reach_milestone=True, **changes):
    """Begins a resumable directory and is interrupted; returns the notes on the interruption."""

    def begin():
        with resumable(final, **changes) as staging:
            (staging / "checkpoints").mkdir(exist_ok=True)
            if reach_milestone:
                (staging / MILESTONE).write_text(content)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        begin()
    return getattr(caught.value, "__notes__", [])


def test_a_resumable_directory_appears_when_the_block_ends(tmp_path):
    with resumable(tmp_path / "run") as staging:
        (staging / "x").write_text("1")
        assert names(tmp_path) == ["run.unfinished"]
    assert names(tmp_path) == ["run"]


def test_before_its_milestone_an_interrupted_one_leaves_nothing(tmp_path):
    assert interrupt(tmp_path / "run", reach_milestone=False) == []
    assert names(tmp_path) == []


def test_after_its_milestone_an_interrupted_one_stays_and_says_so(tmp_path):
    assert interrupt(tmp_path / "run") == ["run.unfinished keeps the progress: continue with --resume"]
    assert names(tmp_path) == ["run.unfinished"]


def test_an_unfinished_directory_is_refused_resumed_or_dropped(tmp_path):
    interrupt(tmp_path / "run", "first")
    with pytest.raises(
        OutputExistsError, match=r"run\.unfinished holds an interrupted run: pass --resume .* or --force"
    ):
        resumable(tmp_path / "run").__enter__()
    with resumable(tmp_path / "run", resume=True) as staging:
        assert (staging / MILESTONE).read_text() == "first"
    assert names(tmp_path) == ["run"]

    interrupt(tmp_path / "run", "second", force=True)
    assert (tmp_path / "run" / MILESTONE).read_text() == "first"
    with resumable(tmp_path / "run", force=True) as staging:
        assert names(staging) == [folders._MARKER]
    assert names(tmp_path) == ["run"]
    assert names(tmp_path / "run") == []


@pytest.mark.parametrize("changes", [{}, {"resume": True}, {"force": True}])
def test_what_another_command_can_go_on_with_is_kept(tmp_path, changes):
    interrupt(tmp_path / "run", "trained for hours")
    with pytest.raises(OutputExistsError, match=r"run\.unfinished holds the interrupted run of another command:"):
        resumable(tmp_path / "run", milestone="checkpoints/other", **changes).__enter__()
    with pytest.raises(OutputExistsError, match="of another command"):
        folders.check_unfinished(tmp_path / "run", force=True, resume=True, milestone="checkpoints/other")
    with resumable(tmp_path / "run", resume=True) as staging:
        assert (staging / MILESTONE).read_text() == "trained for hours"


def test_resuming_where_nothing_is_begins_anew(tmp_path):
    (tmp_path / "run.unfinished").mkdir()
    with resumable(tmp_path / "run", resume=True) as staging:
        assert names(staging) == [folders._MARKER]
    assert names(tmp_path) == ["run"]
    assert names(tmp_path / "run") == []


@pytest.mark.parametrize("changes", [{}, {"resume": True}, {"force": True}])
def test_a_folder_without_the_milestone_may_be_anybodys_and_is_kept(tmp_path, changes):
    (tmp_path / "run.unfinished").mkdir()
    (tmp_path / "run.unfinished" / "thesis").write_text("mine")
    with pytest.raises(OutputExistsError, match=r"run\.unfinished is in the way and has no checkpoints/state"):
        resumable(tmp_path / "run", **changes).__enter__()
    assert (tmp_path / "run.unfinished" / "thesis").read_text() == "mine"


def test_a_second_process_is_locked_out_and_disturbs_nothing(tmp_path):
    with resumable(tmp_path / "run") as staging:
        (staging / "checkpoints").mkdir()
        (staging / MILESTONE).write_text("mine")
        for changes in ({"resume": True}, {"force": True}):
            with pytest.raises(OutputExistsError, match=r"another process is using .*run\.unfinished"):
                resumable(tmp_path / "run", **changes).__enter__()
        assert (staging / MILESTONE).read_text() == "mine"
    assert names(tmp_path) == ["run"]


def test_the_lock_of_a_killed_process_is_gone_with_it(tmp_path):
    code = (
        "import os, pathlib, sys; from pocketvae.system import folders\n"
        "context = folders.resumable_directory(pathlib.Path(sys.argv[1]), force=False, resume=False, milestone='m')\n"
        "(context.__enter__() / 'm').write_text('kept'); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "run")], check=False)
    assert done.returncode == KILLED
    with folders.resumable_directory(tmp_path / "run", force=False, resume=True, milestone="m") as staging:
        assert (staging / "m").read_text() == "kept"


@pytest.mark.parametrize("changes", [{}, {"resume": True}, {"force": True}])
def test_a_run_killed_before_its_first_milestone_is_begun_anew(tmp_path, changes):
    code = (
        "import os, pathlib, sys; from pocketvae.system import folders\n"
        "context = folders.resumable_directory(pathlib.Path(sys.argv[1]), force=False, resume=False, milestone='m')\n"
        "folder = context.__enter__(); (folder / 'checkpoints').mkdir(); (folder / 'half').write_text('made')\n"
        "os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "run")], check=False)
    assert done.returncode == KILLED
    assert "half" in names(tmp_path / "run.unfinished")
    with resumable(tmp_path / "run", **changes) as staging:
        assert not (staging / "half").exists()
        assert not (staging / "checkpoints").exists()
        (staging / "result").write_text("whole")
    assert names(tmp_path) == ["run"]
    assert names(tmp_path / "run") == ["result"]


def killed_while_making(final, *, replaced=False):
    """Leaves what a process leaves that is killed while it makes `final`, or while it replaces it."""
    code = (
        "import os, pathlib, sys; from pocketvae.system import folders\n"
        "final = pathlib.Path(sys.argv[1])\n"
        "context = folders.staged_directory(final, force=True)\n"
        "(context.__enter__() / 'half').write_text('made')\n"
        "if sys.argv[2]: final.replace(final.with_name(f'.{final.name}.0123abcd.old'))\n"
        "os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(final), "yes" if replaced else ""], check=False)
    assert done.returncode == KILLED


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path):
    killed_while_making(tmp_path / "bundle")
    (tmp_path / ".bundle.notes").write_text("not ours")
    (tmp_path / ".bundle2.0123abcd.partial").mkdir()
    assert len(names(tmp_path)) == 3
    with folders.staged_directory(tmp_path / "bundle", force=False) as staging:
        assert names(staging) == []
    assert names(tmp_path) == [".bundle.notes", ".bundle2.0123abcd.partial", "bundle"]


def test_what_was_about_to_be_replaced_by_a_killed_process_comes_back(tmp_path):
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "old").write_text("kept")
    killed_while_making(tmp_path / "bundle", replaced=True)
    assert "bundle" not in names(tmp_path)
    with pytest.raises(OutputExistsError, match="bundle exists"):
        folders.staged_directory(tmp_path / "bundle", force=False).__enter__()
    assert names(tmp_path) == ["bundle"]
    assert names(tmp_path / "bundle") == ["old"]


def test_a_second_process_for_the_same_output_is_refused_and_disturbs_nothing(tmp_path):
    with folders.staged_directory(tmp_path / "bundle", force=False) as staging:
        (staging / "x").write_text("mine")
        for force in (False, True):
            with pytest.raises(OutputExistsError, match=r"another process is making .*bundle: wait for it"):
                folders.staged_directory(tmp_path / "bundle", force=force).__enter__()
        with folders.staged_directory(tmp_path / "other", force=False):
            pass
        assert (staging / "x").read_text() == "mine"
    assert names(tmp_path) == ["bundle", "other"]
    assert names(tmp_path / "bundle") == ["x"]


def test_an_existing_output_is_refused_before_anything_is_made(tmp_path):
    final = tmp_path / "bundle"
    final.mkdir()
    with pytest.raises(OutputExistsError, match="exists: .*--force"), folders.staged_directory(final, force=False):
        pytest.fail("the block began")
    assert names(tmp_path) == ["bundle"]
    assert names(final) == []


def workplace(final, kept="", **changes):
    return folders.workplace(final, **{"force": False, "marker": ".mark", "kept": lambda folder: kept, **changes})


def fail_in(final, kept=""):
    with workplace(final, kept) as folder:
        (folder / "part").write_text("made")
        raise KeyboardInterrupt


def test_a_workplace_goes_when_the_result_is_there(tmp_path):
    with workplace(tmp_path / "bundle") as folder:
        (folder / "part").write_text("made")
        assert names(tmp_path) == ["bundle.unfinished"]
        with folders.staged_directory(tmp_path / "bundle", force=False) as staging:
            (staging / "whole").touch()
    assert names(tmp_path) == ["bundle"]
    assert names(tmp_path / "bundle") == ["whole"]


def test_a_workplace_stays_where_it_holds_something_to_go_on_with(tmp_path):
    with pytest.raises(KeyboardInterrupt) as caught:
        fail_in(tmp_path / "bundle", "one part")
    assert caught.value.__notes__ == ["one part"]
    with workplace(tmp_path / "bundle") as folder:
        assert names(folder) == [".mark", "part"]
    with pytest.raises(KeyboardInterrupt):
        fail_in(tmp_path / "bundle", "")
    assert names(tmp_path) == []


def test_a_workplace_that_a_killed_process_left_is_taken_over(tmp_path):
    code = (
        "import os, pathlib, sys; from pocketvae.system import folders\n"
        "final = pathlib.Path(sys.argv[1])\n"
        "context = folders.workplace(final, force=False, marker='.mark', kept=lambda folder: '')\n"
        "(context.__enter__() / 'part').write_text('made'); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "bundle")], check=False)
    assert done.returncode == KILLED
    with workplace(tmp_path / "bundle") as folder:
        assert (folder / "part").read_text() == "made"
    assert names(tmp_path) == []


def test_a_workplace_is_one_process_s_alone(tmp_path):
    with (
        workplace(tmp_path / "bundle"),
        pytest.raises(OutputExistsError, match=r"another process is making .*bundle: wait for it"),
        workplace(tmp_path / "bundle", force=True),
    ):
        pass
    assert names(tmp_path) == []


def test_a_workplace_without_its_marker_may_be_anybodys_and_is_kept(tmp_path):
    (tmp_path / "bundle.unfinished").mkdir()
    (tmp_path / "bundle.unfinished" / "thesis").write_text("mine")
    with pytest.raises(OutputExistsError, match=r"bundle\.unfinished is in the way and holds other work"):
        workplace(tmp_path / "bundle").__enter__()
    assert names(tmp_path / "bundle.unfinished") == ["thesis"]


def test_the_marker_of_a_workplace_goes_last(tmp_path, monkeypatch):
    def killed(path):
        raise SystemExit

    def finish():
        with workplace(tmp_path / "bundle") as folder:
            (folder / "part").mkdir()
            monkeypatch.setattr(folders.shutil, "rmtree", killed)

    with pytest.raises(SystemExit):
        finish()
    monkeypatch.undo()
    assert names(tmp_path / "bundle.unfinished") == [".mark", "part"]


def test_a_claimed_folder_is_one_holders_alone_and_keeps_what_is_in_it(tmp_path):
    folder = tmp_path / "new" / "folder"
    with folders.claimed_directory(folder):
        (folder / "kept").write_text("a")
        with (
            pytest.raises(OutputExistsError, match=f"another process is using {folder}"),
            folders.claimed_directory(folder),
        ):
            pass
    with folders.claimed_directory(folder):
        assert (folder / "kept").read_text() == "a"


def test_a_claim_on_a_folder_that_was_removed_meanwhile_is_none(tmp_path, monkeypatch):
    """Somebody waits for the lock while the holder removes the folder and another makes it again."""
    folder = tmp_path / "folder"
    folder.mkdir()
    take, locked = folders.lock_folder, []

    def late(path):
        lock = take(path)
        locked.append(path.stat().st_ino)
        if len(locked) == 1:
            path.rmdir()
        return lock

    monkeypatch.setattr(folders, "lock_folder", late)
    with folders.claimed_directory(folder):
        assert folder.stat().st_ino == locked[-1]
    assert len(locked) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege")
def test_a_link_to_a_folder_stays_and_the_folder_is_replaced(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "old").write_text("1")
    link = tmp_path / "link"
    link.symlink_to("there")
    assert folders.unfinished_directory(link) == tmp_path / "there.unfinished"
    for make in (
        folders.staged_directory(link, force=True),
        folders.resumable_directory(link, force=True, resume=False, milestone="m"),
    ):
        with make as staging:
            (staging / "new").write_text("1")
        assert link.is_symlink()
        assert names(tmp_path / "there") == ["new"]
        assert names(tmp_path) == ["link", "there"]


@pytest.mark.skipif(sys.platform == "win32", reason="devices are no files")
def test_a_device_is_no_folder():
    with (
        pytest.raises(DataError, match="the output must be a folder, but /dev/null is a device or a pipe"),
        folders.staged_directory(Path("/dev/null"), force=True),
    ):
        pass


def test_nothing_waits_to_be_made_inside_a_folder_that_is_being_made(tmp_path):
    def begins(folder):
        message = "another process is using .*: wait for it, or choose another output"
        with (
            pytest.raises(OutputExistsError, match=message),
            folders.staged_directory(folder / "inner", force=False),
        ):
            pass
        assert not (folder / "inner").exists()

    with folders.resumable_directory(tmp_path / "run", force=False, resume=False, milestone="m") as folder:
        begins(folder)
    with folders.staged_directory(tmp_path / "bundle", force=False) as folder:
        begins(folder)


def test_what_was_added_while_the_new_one_was_made_keeps_the_old_one(tmp_path):
    out = tmp_path / "bundle"
    out.mkdir()
    (out / "old").touch()

    def check():
        if (out / "tables").exists():
            raise OutputExistsError("tables")

    with pytest.raises(OutputExistsError, match="tables"), folders.staged_directory(out, force=True, check_old=check):
        (out / "tables").touch()
    assert {path.name for path in out.iterdir()} == {"old", "tables"}
    assert list(tmp_path.iterdir()) == [out]


def test_what_was_half_deleted_by_a_killed_process_does_not_come_back(tmp_path, monkeypatch):
    out = tmp_path / "out"
    out.mkdir()
    (out / "old").touch()
    with monkeypatch.context() as killed, folders.staged_directory(out, force=True) as staging:
        (staging / "new").touch()
        killed.setattr(folders, "_remove", lambda path: None)
    (out / "new").unlink()
    out.rmdir()
    with folders.staged_directory(out, force=False) as staging:
        (staging / "newer").touch()
    assert list(tmp_path.rglob("*")) == [out, out / "newer"]


def test_what_was_half_deleted_goes_with_the_next_resumable_directory(tmp_path):
    (tmp_path / ".run.0a1b2c3d.partial").mkdir()
    (tmp_path / ".run.0a1b2c3d.partial" / "weights").touch()
    with folders.resumable_directory(tmp_path / "run", force=False, resume=False, milestone="state") as staging:
        (staging / "done").touch()
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "run", tmp_path / "run" / "done"]


@pytest.mark.parametrize("most", [1000, 1])
def test_a_folder_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch, most):
    synced = []
    monkeypatch.setattr(folders, "_MOST_SYNCED", most)
    monkeypatch.setattr(folders, "sync", lambda path: synced.append((path.name, (tmp_path / "out").exists())))
    monkeypatch.setattr("os.sync", lambda: synced.append(("all", (tmp_path / "out").exists())), raising=False)
    with folders.staged_directory(tmp_path / "out", force=False) as staging:
        (staging / "sub").mkdir()
        for name in ("a", "sub/b"):
            (staging / name).touch()
    assert sorted(synced) == ([("a", False), ("b", False)] if most > 1 else [("all", False)])
