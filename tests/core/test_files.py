import pytest

from pocketvae import files
from pocketvae.errors import DataError, OutputExistsError


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_failed_write_leaves_the_old_content_and_no_temporary_file(tmp_path):
    path = tmp_path / "a.bin"
    files.write_bytes(path, b"old")
    with pytest.raises(TypeError):
        files.write_bytes(path, "no bytes")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.bin"]


def test_a_staged_directory_appears_when_the_block_ends(tmp_path):
    final = tmp_path / "bundle"
    with files.staged_directory(final, force=False) as staging:
        (staging / "x").write_text("1")
        assert not final.exists()
    assert (final / "x").read_text() == "1"
    assert names(tmp_path) == ["bundle"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_interrupted_staged_directory_leaves_nothing(tmp_path, error):
    def write_and_fail():
        with files.staged_directory(tmp_path / "bundle", force=False) as staging:
            (staging / "x").write_text("1")
            raise error

    with pytest.raises(error):
        write_and_fail()
    assert names(tmp_path) == []


def test_an_interruption_with_force_keeps_the_old_directory(tmp_path):
    final = tmp_path / "bundle"
    final.mkdir()
    (final / "old").touch()
    with pytest.raises(KeyboardInterrupt), files.staged_directory(final, force=True):
        raise KeyboardInterrupt
    assert names(final) == ["old"]


def test_force_replaces_the_whole_directory(tmp_path):
    final = tmp_path / "bundle"
    final.mkdir()
    (final / "old").touch()
    with files.staged_directory(final, force=True) as staging:
        (staging / "new").touch()
    assert names(final) == ["new"]
    assert names(tmp_path) == ["bundle"]


def test_an_existing_output_is_refused_before_anything_is_made(tmp_path):
    with pytest.raises(OutputExistsError, match="exists: .*--force"), files.staged_directory(tmp_path, force=False):
        pass


def test_a_missing_parent_is_refused(tmp_path):
    with pytest.raises(DataError, match="the output's folder must exist"):
        files.check_output(tmp_path / "no" / "bundle", force=False)


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x", "", "a\\b", "C:x"])
def test_a_path_that_leads_outside_is_recognized(path):
    assert not files.is_inside(path)


@pytest.mark.parametrize("path", ["x", "golden/x.npy", "a.b/c"])
def test_a_path_inside_is_recognized(path):
    assert files.is_inside(path)
