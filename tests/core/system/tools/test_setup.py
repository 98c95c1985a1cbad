"""Steps that are taken once, whole or not at all."""

import pytest

from pocketvae.errors import OutputExistsError, TargetError
from pocketvae.system.cache import cache_folder
from pocketvae.system.folders import staged_directory
from pocketvae.system.tools.setup import folder_step, run_tool, target_folder


def step(folder, make, key="1"):
    return folder_step(folder, text="something", key=key, download_bytes=1, make=make)


def test_a_step_is_taken_once(tmp_path):
    taken = step(tmp_path / "x" / "y", lambda folder: (folder / "file").write_text("a"))
    assert not taken.is_done()
    taken.take()
    assert taken.is_done()
    assert (tmp_path / "x" / "y" / "file").read_text() == "a"


def test_one_that_is_made_of_something_else_is_made_again(tmp_path):
    step(tmp_path / "y", lambda folder: (folder / "old").write_text("")).take()
    newer = step(tmp_path / "y", lambda folder: (folder / "new").write_text(""), key="2")
    assert not newer.is_done()
    newer.take()
    assert newer.is_done()
    assert not (tmp_path / "y" / "old").exists()


def test_one_that_fails_or_was_killed_leaves_nothing(tmp_path):
    def fail(folder):
        (folder / "half").write_text("")
        raise TargetError("no network")

    (tmp_path / ".y.12345678.partial").mkdir()
    with pytest.raises(TargetError, match="no network"):
        step(tmp_path / "y", fail).take()
    assert list(tmp_path.iterdir()) == []


def test_what_another_process_is_making_is_left_alone(tmp_path):
    with staged_directory(tmp_path / "y", force=True) as staging:
        (staging / "half").write_text("")
        with pytest.raises(OutputExistsError, match="another process is making"):
            step(tmp_path / "y", lambda folder: None).take()
        assert (staging / "half").exists()
    assert (tmp_path / "y" / "half").exists()


def test_the_cache_is_where_it_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("POCKETVAE_CACHE", str(tmp_path))
    assert target_folder("node") == tmp_path / "targets" / "node"
    names = ("ssh://a@b:1", "ssh://b?python=/a/b", "ssh://b?python=/a_b", f"ssh://b?python=/{'a' * 300}")
    folders = [target_folder(name).name for name in names]
    assert folders[0].startswith("ssh_a_b_1-")
    assert len(set(folders)) == 4
    assert all(len(name) < 100 and "/" not in name for name in folders)
    monkeypatch.delenv("POCKETVAE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "pocketvae"


def test_a_tool_that_is_missing_or_fails_says_so():
    with pytest.raises(TargetError, match="unpacking needs no-such-tool, which is not installed"):
        run_tool(["no-such-tool"], "unpacking")
    with pytest.raises(TargetError, match="listing failed: E: nothing there"):
        run_tool(["sh", "-c", "echo 'E: nothing there' >&2; echo more >&2; exit 3"], "listing")


def test_a_tool_that_hangs_or_cannot_be_started_says_so(tmp_path):
    with pytest.raises(TargetError, match="waiting took longer than 0.1 s and was ended"):
        run_tool(["sleep", "60"], "waiting", time_limit_s=0.1)
    with pytest.raises(TargetError, match=f"asking failed: {tmp_path} cannot be started: Permission denied"):
        run_tool([str(tmp_path)], "asking")
