import pytest

from pocketvae.errors import ExportError
from pocketvae.keras.checkpoints import checkpoint_prefix
from pocketvae.keras.files import model_kind


@pytest.fixture
def folder(tmp_path):
    for name in ("w.index", "w.data-00000-of-00001"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "w"\nall_model_checkpoint_paths: "w"\n')
    return tmp_path


@pytest.mark.parametrize("name", ["w", "w.index", "w.data-00000-of-00001", "checkpoint", "."])
def test_a_checkpoint_is_known_by_any_of_its_files(folder, name):
    assert checkpoint_prefix(folder / name) == folder / "w"
    with pytest.raises(ExportError, match="is a checkpoint, which only holds weights: name the function that builds"):
        model_kind(folder / name)


def test_a_list_of_checkpoints_leads_nowhere_else(folder):
    (folder / "inner").mkdir()
    (folder / "inner" / "checkpoint").write_text('model_checkpoint_path: "../w"\n')
    assert checkpoint_prefix(folder / "inner" / "checkpoint") is None
    (folder / "v.index").write_bytes(b"x")
    assert checkpoint_prefix(folder) == folder / "w"
    (folder / "checkpoint").unlink()
    assert checkpoint_prefix(folder) is None
    assert checkpoint_prefix(folder / "other.keras") is None
