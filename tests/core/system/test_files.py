import errno
import os
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import pytest

from pocketvae.errors import DataError, OutputExistsError
from pocketvae.system import files, locks


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_failed_write_leaves_the_old_content_and_no_temporary_file(tmp_path):
    path = tmp_path / "a.bin"
    files.write_bytes(path, b"old")
    with pytest.raises(TypeError):
        files.write_bytes(path, "no bytes")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.bin"]


def test_a_full_disk_names_the_file_and_leaves_the_old_content(tmp_path, monkeypatch):
    path = tmp_path / "a.bin"
    files.write_bytes(path, b"old")

    def fail(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="No space left on device") as caught:
        files.write_bytes(path, b"new")
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.bin"]


def test_a_missing_parent_is_refused(tmp_path):
    with pytest.raises(DataError, match="the output's folder must exist"):
        files.check_output(tmp_path / "no" / "bundle", force=False)


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x", "", "a\\b", "C:x"])
def test_a_path_that_leads_outside_is_recognized(path):
    assert not files.is_inside(path)


@pytest.mark.parametrize("path", ["x", "golden/x.npy", "a.b/c"])
def test_a_path_inside_is_recognized(path):
    assert files.is_inside(path)


def test_the_hash_of_a_folder_is_of_names_and_contents(tmp_path):
    def folder(name, **content):
        (tmp_path / name / "sub").mkdir(parents=True)
        for file, text in content.items():
            (tmp_path / name / "sub" / file).write_text(text)
        return files.sha256_path(tmp_path / name)

    first = folder("a", x="1", y="2")
    assert first == folder("b", y="2", x="1")
    assert len({first, folder("c", x="2", y="1"), folder("d", x="1"), folder("e", z="1", y="2")}) == 4
    assert files.sha256_path(tmp_path / "a" / "sub" / "x") == files.sha256_bytes(b"1")


def test_the_hash_of_a_folder_goes_through_paths_part_by_part(tmp_path):
    # As text `assets.extra/x` comes before `assets/x`, since a dot comes before a slash; some systems ignore case.
    names = ["B", "a", "assets/x", "assets.extra/x"]
    for name in names:
        file = tmp_path / "model" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    lines = "".join(f"{files.sha256_bytes(name.encode())}  {name}\n" for name in names)
    assert files.sha256_path(tmp_path / "model") == files.sha256_bytes(lines.encode())


@pytest.mark.parametrize(
    ("text", "plain"), [("node", "node"), ("ssh://a@b:1?python=/x", "ssh_a_b_1_python_x"), ("a/../b", "a_.._b")]
)
def test_a_text_becomes_part_of_a_file_name(text, plain):
    assert files.plain_name(text) == plain


def test_a_disk_that_fills_up_while_a_file_is_written_in_parts_is_named_by_the_file(tmp_path):
    def write(path):
        with files.staged_file(path, force=True) as staging:
            staging.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with pytest.raises(OSError, match="No space left on device") as caught:
        write(path)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(path))
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.bin"]


needs_pipes = pytest.mark.skipif(sys.platform == "win32", reason="pipes with a name are a matter of POSIX")


def write_staged(path, data):
    with files.staged_file(path, force=True) as temporary:
        temporary.write_bytes(data)


WRITERS = pytest.mark.parametrize("write", [files.write_bytes, write_staged])


@needs_pipes
@WRITERS
def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path, write):
    (tmp_path / "there").mkdir()
    target, link = tmp_path / "there" / "a.json", tmp_path / "link.json"
    target.write_bytes(b"old")
    target.chmod(0o600)
    link.symlink_to("there/a.json")
    with pytest.raises(OutputExistsError):
        files.check_output(link, force=False)
    write(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert target.stat().st_mode & 0o777 == 0o600
    dangling = tmp_path / "dangling"
    dangling.symlink_to("there/b.json")
    write(dangling, b"new")
    assert dangling.is_symlink()
    assert names(tmp_path / "there") == ["a.json", "b.json"]
    dangling.unlink()
    dangling.symlink_to("nowhere/b.json")
    with pytest.raises(DataError, match="the output's folder must exist, got .*nowhere"):
        files.check_output(dangling, force=False)


@needs_pipes
@WRITERS
def test_a_pipe_is_written_to_and_stays(tmp_path, write):
    pipe, content, read = tmp_path / "pipe", bytes(300_000), []
    os.mkfifo(pipe)
    files.check_output(pipe, force=False)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    write(pipe, content)
    reader.join()
    assert read == [content]
    assert names(tmp_path) == ["pipe"]
    assert pipe.is_fifo()


@needs_pipes
def test_a_device_stays_what_it_is():
    files.check_output(Path(os.devnull), force=False)
    files.write_bytes(Path(os.devnull), b"new")
    assert Path(os.devnull).is_char_device()
    assert not files.is_stream(Path("/dev/shm"))


@pytest.mark.skipif(not Path("/dev/fd").is_dir(), reason="this system does not show open files as paths")
def test_an_open_file_keeps_what_was_printed(tmp_path):
    with (tmp_path / "out.txt").open("wb", buffering=0) as file:
        file.write(b"printed\n")
        files.write_bytes(Path(f"/dev/fd/{file.fileno()}"), b"new")
    assert (tmp_path / "out.txt").read_bytes() == b"printed\nnew"
    assert names(tmp_path) == ["out.txt"]


@pytest.mark.posix
def test_what_a_killed_process_left_is_removed_by_the_next_that_writes_the_same_file(tmp_path):
    script = (
        "import os, pathlib, sys\n"
        "from pocketvae.system import files\n"
        "context = files.staged_file(pathlib.Path(sys.argv[1]), force=False)\n"
        "context.__enter__().write_bytes(b'half')\n"
        "os.kill(os.getpid(), 9)\n"
    )
    path = tmp_path / "latents.npz"
    subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert [entry.suffix for entry in tmp_path.iterdir()] == [".tmp"]
    with files.staged_file(path, force=True) as first:
        first.write_bytes(b"one")
        # One that is being written is left alone.
        with files.staged_file(path, force=False) as second:
            second.write_bytes(b"two")
            assert sorted(tmp_path.iterdir()) == sorted([first, second])
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"one"


@pytest.mark.posix
def test_only_what_was_left_of_the_same_file_is_removed(tmp_path):
    others = {".b.json.0123abcd.tmp", ".a.json.tmp", ".a.json.0123abcd.tmp.bak", "a.json.0123abcd.tmp"}
    for name in (*others, ".a.json.0123abcd.tmp"):
        (tmp_path / name).touch()
    (tmp_path / ".a.json.ffffffff.tmp").mkdir()
    files.write_bytes(tmp_path / "a.json", b"{}")
    assert set(names(tmp_path)) == {*others, ".a.json.ffffffff.tmp", "a.json"}


def test_a_file_is_written_where_nothing_can_be_locked(tmp_path, monkeypatch):
    def refuse(descriptor, *, wait):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks, "_flock", refuse)
    files.write_bytes(tmp_path / "a.json", b"{}")
    assert names(tmp_path) == ["a.json"]


def test_what_stands_in_the_way_of_a_folder_is_named(tmp_path):
    (tmp_path / "a").touch()
    with pytest.raises(DataError, match=r"must exist, got .*/a/b: .*/a is a file, so choose another output$"):
        files.check_output(tmp_path / "a" / "b" / "c.npz", force=False)
    with pytest.raises(DataError, match=r"must exist, got .*/b: create it first$"):
        files.check_output(tmp_path / "b" / "c.npz", force=False)


@pytest.mark.posix
def test_an_output_is_named_as_it_was_typed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if Path("/dev/full").exists():
        with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
            files.write_bytes(Path("/dev/full"), b"x")
        with pytest.raises(OSError, match="'/dev/full'"), files.staged_file(Path("/dev/full"), force=False) as path:
            path.write_bytes(b"x")
    if Path("/proc").is_dir():
        for path in (Path("/proc/x.npz"),):
            with pytest.raises(DataError, match="/proc/x.npz cannot be made: /proc takes no new files: choose another"):
                files.write_bytes(path, b"x")
            with pytest.raises(DataError, match="/proc/x.npz cannot"), files.staged_file(path, force=False):
                pytest.fail("it has begun")
    with pytest.raises(OSError, match="'other.npz'"), files.staged_file(Path("x.npz"), force=False):
        Path("other.npz").read_bytes()
    assert not list(tmp_path.iterdir())


def test_a_new_file_is_there_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "a.bin"
    files.write_new(path, b"first")
    with pytest.raises(FileExistsError):
        files.write_new(path, b"second")
    assert path.read_bytes() == b"first"
    with pytest.raises(FileNotFoundError):
        files.write_new(tmp_path / "no" / "a.bin", b"x")

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        files.write_new(tmp_path / "b.bin", b"x")
    assert names(tmp_path) == ["a.bin"]


def test_a_new_file_needs_no_links(tmp_path, monkeypatch):
    def refused(*_):
        raise PermissionError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refused)
    files.write_new(tmp_path / "a.bin", b"first")
    with pytest.raises(FileExistsError):
        files.write_new(tmp_path / "a.bin", b"second")
    assert (tmp_path / "a.bin").read_bytes() == b"first"
    assert names(tmp_path) == ["a.bin"]


def test_what_another_process_made_meanwhile_is_not_replaced_without_force(tmp_path):
    path = tmp_path / "x.npz"
    with (
        pytest.raises(OutputExistsError, match="x.npz exists: choose"),
        files.staged_file(path, force=False),
    ):
        path.write_bytes(b"theirs")
    with pytest.raises(OutputExistsError, match="x.npz exists: choose another output, or pass --force"):
        files.write_bytes(path, b"mine", force=False)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"theirs"
    files.write_text(path, "mine", force=True)
    assert path.read_bytes() == b"mine"


def test_a_folder_that_takes_no_files_is_known_before_anything_is_made(tmp_path, monkeypatch):
    # Root may write everywhere, but on no disk that is read-only.
    monkeypatch.setattr("os.access", lambda path, mode: Path(path) != tmp_path)
    said = r"x.npz cannot be made: .* takes no new files: choose another folder$"
    for check in (files.check_takes_files, partial(files.check_output, force=True)):
        with pytest.raises(DataError, match=said):
            check(tmp_path / "x.npz")
    (tmp_path / "b").mkdir()
    files.check_takes_files(tmp_path / "b" / "x.npz")
