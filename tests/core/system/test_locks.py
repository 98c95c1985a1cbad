import subprocess
import sys

import pytest

from pocketvae.system import locks

# Every kind on every system that has it: the file in place of the folder works on all of them.
KINDS = [locks._FileInstead, *([] if sys.platform == "win32" else [locks._PathItself])]
HOLD = (
    "import pathlib, sys; from pocketvae.system import locks\n"
    "lock = getattr(locks, sys.argv[2])(pathlib.Path(sys.argv[1]), wait=False)\n"
    "print('held', flush=True); sys.stdin.read()"
)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("POCKETVAE_CACHE", str(tmp_path / "cache"))


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__.strip("_"))
def kind(request):
    return request.param


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "folder").mkdir()
    return tmp_path / "folder"


def test_one_holder_at_a_time(kind, folder):
    lock = kind(folder, wait=False)
    with pytest.raises(BlockingIOError):
        kind(folder, wait=False)
    lock.release()
    kind(folder, wait=True).release()


def test_another_spelling_is_the_same_folder(kind, folder, monkeypatch):
    lock = kind(folder, wait=False)
    monkeypatch.chdir(folder.parent)
    with pytest.raises(BlockingIOError):
        kind(folder.relative_to(folder.parent), wait=False)
    lock.release()


def test_a_killed_holder_leaves_no_lock(kind, folder):
    command = [sys.executable, "-c", HOLD, str(folder), kind.__name__]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(BlockingIOError):
            kind(folder, wait=False)
        holder.kill()
        holder.wait()
        kind(folder, wait=False).release()


def test_a_locked_folder_is_renamed_and_nothing_is_added_to_it(kind, folder):
    lock = kind(folder, wait=False)
    renamed = folder.replace(folder.with_name("final"))
    assert list(renamed.iterdir()) == []
    assert not lock.holds(folder)
    lock.release()


def test_what_does_not_exist_is_not_locked(kind, folder):
    folder.rmdir()
    with pytest.raises(FileNotFoundError):
        kind(folder, wait=False)
    folder.mkdir()
    kind(folder, wait=False).release()
