import os
import subprocess
import sys
from pathlib import Path

import pytest

from pocketvae.system import files, folders, leftovers, temporary
from pocketvae.system.temporary import TemporaryFolder, temporary_directory


@pytest.fixture(autouse=True)
def nothing_registered():
    """Other tests of the same process must have left nothing."""
    assert leftovers.settle_all() == []
    yield
    leftovers.settle_all()


def test_an_error_settles_and_tells_what_there_is_to_say():
    told = []
    with pytest.raises(KeyboardInterrupt) as caught, leftovers.settled_on_error(lambda: told.append(1) or "kept"):
        raise KeyboardInterrupt
    assert told == [1]
    assert caught.value.__notes__ == ["kept"]
    assert leftovers.settle_all() == []
    assert told == [1]


def test_what_ended_well_is_not_settled():
    told = []
    with leftovers.settled_on_error(lambda: told.append(1)):
        pass
    leftovers.settle_all()
    assert told == []


def test_the_latest_is_settled_first_and_a_failure_keeps_none_from_it():
    order = []
    leftovers.register(lambda: order.append("folder") or "kept")
    leftovers.register(lambda: 1 / 0)
    leftovers.register(lambda: order.append("child"))
    assert leftovers.settle_all() == ["kept"]
    assert order == ["child", "folder"]


_HALF_WRITTEN = {
    "staged_directory": "folders.staged_directory(out, force=True)",
    "resumable_directory": "folders.resumable_directory(out, force=True, resume=False, milestone='m')",
    "staged_file": "files.staged_file(out, force=True)",
}


@pytest.mark.parametrize("name", _HALF_WRITTEN)
def test_everything_that_is_written_in_pieces_is_registered(tmp_path, name):
    out = tmp_path / "out"
    context = eval(_HALF_WRITTEN[name], {"folders": folders, "files": files, "out": out})
    path = context.__enter__()
    if not path.is_dir():
        path.write_bytes(b"half")
    assert list(tmp_path.iterdir()) == [path]
    leftovers.settle_all()
    assert list(tmp_path.iterdir()) == []


def test_progress_is_kept_and_told_of(tmp_path):
    context = folders.resumable_directory(tmp_path / "run", force=False, resume=False, milestone="m")
    (context.__enter__() / "m").touch()
    assert leftovers.settle_all() == ["run.unfinished keeps the progress: continue with --resume"]
    assert (tmp_path / "run.unfinished" / "m").exists()


def test_a_folder_that_stepped_aside_comes_back(tmp_path, monkeypatch):
    final = tmp_path / "bundle"
    final.mkdir()
    (final / "old").touch()
    replace = Path.replace

    def stuck(path, target):
        if path.suffix == ".partial" and target == final:
            # The new folder cannot take its place, and the process is ended here.
            assert not final.exists()
            leftovers.settle_all()
            raise OSError("stuck")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", stuck)
    with pytest.raises(OSError, match="stuck"), folders.staged_directory(final, force=True):
        pass
    assert [path.name for path in final.iterdir()] == ["old"]
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_children_are_ended():
    from pocketvae.errors import ChannelError
    from pocketvae.processes.envelope import Request
    from pocketvae.processes.line_process import LineProcess

    answer = 'import sys\nfor line in sys.stdin: print(\'{"id": 1, "result": null}\', flush=True)\n'
    process = LineProcess([sys.executable, "-I", "-S", "-c", answer])
    process.ask(Request(id=1, method="wait"), 30)
    leftovers.settle_all()
    assert process._process.wait(30) != 0
    # And none is started in its place.
    with pytest.raises(ChannelError):
        process.ask(Request(id=1, method="wait"), 30)
    with pytest.raises(ChannelError, match="it was stopped"):
        process.ask(Request(id=1, method="wait"), 30)


def test_a_temporary_folder_goes_however_the_block_ends():
    with temporary_directory() as folder:
        (folder / "x").touch()
    assert not folder.exists()
    with pytest.raises(subprocess.SubprocessError), temporary_directory() as folder:
        raise subprocess.SubprocessError
    assert not folder.exists()


def test_a_temporary_folder_that_does_not_end_with_a_block_is_registered():
    folder = TemporaryFolder()
    (folder.path / "x").touch()
    leftovers.settle_all()
    assert not folder.path.exists()
    other = TemporaryFolder()
    other.remove()
    assert not other.path.exists()
    assert leftovers.settle_all() == []


@pytest.mark.posix
def test_the_temporary_folders_of_killed_processes_are_removed(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    script = (
        "import os\n"
        "from pocketvae.system.temporary import TemporaryFolder\n"
        "(TemporaryFolder().path / 'x').touch()\n"
        "os.kill(os.getpid(), 9)\n"
    )
    (tmp_path / "pocketvae-tables").mkdir()
    subprocess.run([sys.executable, "-c", script], env={**os.environ, "TMPDIR": str(tmp_path)}, check=False)
    assert len(list(tmp_path.iterdir())) == 2
    with temporary_directory() as folder:
        temporary._clear.cache_clear()
        # One that is in use stays, and so does what has another name.
        with temporary_directory() as other:
            assert {folder.name, other.name, "pocketvae-tables"} == {entry.name for entry in tmp_path.iterdir()}
