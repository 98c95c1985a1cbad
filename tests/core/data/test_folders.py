"""Hidden files are not data, and a folder of splits is not one of classes or recordings."""

import pytest

from pocketvae.data.folders import check_is_one_part, data_files
from pocketvae.errors import DataError


def test_files_are_found_by_suffix_and_hidden_ones_are_left_out(tmp_path):
    folder = tmp_path / ".cache" / "my data"
    for name in ("b.csv", "a/Z.CSV", "notes.txt", "._b.csv", ".ipynb_checkpoints/b.csv", "a/.old/c.csv"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    (folder / "folder.csv").mkdir()
    assert [path.relative_to(folder).as_posix() for path in data_files(folder, {".csv"})] == ["a/Z.CSV", "b.csv"]


def test_a_folder_of_splits_is_refused_with_the_part_that_is_meant(tmp_path):
    for name in ("train", "test", ".git"):
        (tmp_path / name).mkdir()
    with pytest.raises(DataError, match=r"must be classes, got test and train: name one of them, such as .*test$"):
        check_is_one_part(tmp_path, "classes")
    (tmp_path / "shoes").mkdir()
    check_is_one_part(tmp_path, "classes")
