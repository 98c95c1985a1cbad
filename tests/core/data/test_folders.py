"""Hidden files are not data, a folder of splits is not one of classes or recordings, and no class may be missing."""

import pytest

from pocketvae.data.folders import check_has_all_classes, check_is_one_part, data_files, splits_of
from pocketvae.errors import DataError
from pocketvae.vae_spec import DataKind, VaeSpec, class_label, vector_latent


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


def test_two_folders_for_validation_are_refused(tmp_path):
    names = ["train/a.csv", "val/a.csv", "test/a.csv"]
    assert splits_of(tmp_path, names) == ("train", "val", "test")
    with pytest.raises(DataError, match=r"has both validation/ and val/: join them, or move one away$"):
        splits_of(tmp_path, [*names, "validation/b.csv"])


@pytest.mark.parametrize(("data", "shape"), [(DataKind.IMAGE, (8, 8, 1)), (DataKind.SEQUENCE, (8, 1))])
def test_a_folder_that_numbers_other_classes_than_the_model_is_refused(tmp_path, monkeypatch, data, shape):
    monkeypatch.chdir(tmp_path)
    vae = VaeSpec(data=data, data_shape=shape, latents=vector_latent(2), conditions=class_label(3))
    for name in ("mnist", "signs"):
        (tmp_path / name).mkdir()
    (tmp_path / "a.npz").touch()
    check_has_all_classes("signs", 3, vae)
    check_has_all_classes("a.npz", 2, vae)
    for count in (2, 4):
        with pytest.raises(
            DataError, match=rf"signs has {count} subfolders of {data}s but the model 3 classes, so the"
        ):
            check_has_all_classes("signs", count, vae)
    if data is DataKind.IMAGE:
        check_has_all_classes("mnist", 2, vae)
        (tmp_path / "signs" / "train-images-idx3-ubyte").touch()
        check_has_all_classes("signs", 2, vae)
