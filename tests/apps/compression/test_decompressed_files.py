"""Output of decompress: files under the names of what was compressed, where they can have them."""

import json
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pocketvae.apps import Decompressed, write_decompressed
from pocketvae.apps.compression import decompressed_files
from pocketvae.apps.compression.decompressed_files import file_names
from pocketvae.cli.main import main
from pocketvae.vae_spec import VaeSpec, vector_latent

VAE = VaeSpec(data_shape=(6, 6, 1), latents=vector_latent(3))
NOT_FILES = "their names cannot be those of files here"


def test_a_folder_comes_back_under_its_names(tables_path, grey_images, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    bundle, kinds = str(tables_path), {"cat/1.bmp": 0, "cat/3.tif": 1, "dog/1.png": 2}
    for name, number in kinds.items():
        Path("photos", name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(grey_images[number, ..., 0]).save(Path("photos", name))

    def restored():
        capsys.readouterr()
        assert main(["decompress", bundle, "x.pvae", "--out", "d", "--quiet", "--force"]) == 0, capsys.readouterr().err
        return {path.relative_to("d").as_posix() for path in Path("d").rglob("*") if path.is_file()}

    assert main(["compress", bundle, "photos", "--out", "x.pvae", "--lossless", "--quiet"]) == 0
    assert re.match(r"3 images in \d+ bytes \(\d+ for the names\), ", capsys.readouterr().out)
    assert restored() == {"cat/1.png", "cat/3.png", "dog/1.png", "decompressed.json"}
    for name, number in kinds.items():
        with Image.open(Path("d", name).with_suffix(".png")) as image:
            assert np.array_equal(np.asarray(image), grey_images[number, ..., 0])
    note = json.loads(Path("d/decompressed.json").read_text())
    assert note["names"] == list(kinds)
    assert note["files"] == ["cat/1.png", "cat/3.png", "dog/1.png"]
    assert main(["decompress", bundle, "x.pvae", "--out", "y.npz", "--quiet"]) == 0
    assert np.load("y.npz")["names"].tolist() == list(kinds)
    # What is not decompress's own is not deleted, in subfolders neither.
    Path("d/cat/mine.png").write_bytes(b"mine")
    assert main(["decompress", bundle, "x.pvae", "--out", "d", "--quiet", "--force"]) == 2
    assert (
        "d has files of yours, which --force would delete: cat/mine.png; move what you need" in capsys.readouterr().err
    )
    Path("d/cat/mine.png").unlink()
    # Arrays and single files have no names.
    np.save("x.npy", grey_images[:2])
    for items in ("x.npy", "photos/cat/1.bmp"):
        assert main(["compress", bundle, items, "--out", "x.pvae", "--quiet", "--force"]) == 0
        assert Path("x.pvae").read_bytes()[4] == 1
        assert "names" not in capsys.readouterr().out
    assert restored() == {"000000.png", "decompressed.json"}


@pytest.mark.parametrize(
    ("names", "paths"),
    [
        (["a.jpg", "b/a.PNG"], ("a.png", "b/a.png")),
        (["12:30.webp", "v1.2"], ("12:30.png", "v1.2.png")),
        (["a.jpg", "a.png"], ("a.jpg.png", "a.png.png")),
        (["a.jpg", "A.gif"], ("a.jpg.png", "A.gif.png")),
        (["a.jpg", "a.png/b.png"], ("a.jpg.png", "a.png/b.png.png")),
        (["a.png", "A.png"], ()),
        (["a.png", "a.png"], ()),
        (["\u00e9.png", "e\u0301.png"], ()),
        (["a.png", "../b.png"], ()),
        (["a.png", "/b.png"], ()),
        (["a.png", ""], ()),
        (["a.png", "b\n.png"], ()),
        (["a.png", "b" * 250], ()),
    ],
)
def test_names_become_files_inside_the_folder_or_none_does(names, paths, tmp_path):
    assert file_names(names) == paths
    result = Decompressed(vae=VAE, images=np.zeros((2, 6, 6, 1), np.uint8), z=None, labels=None, names=(*names,))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        write_decompressed(result, tmp_path / "d", force=False)
    told = [str(warning.message) for warning in caught]
    assert told == ([] if paths else [f"the images are numbered, because {NOT_FILES}: decompressed.json has them"])
    found = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert found == sorted(f"d/{path}" for path in (*(paths or ("000000.png", "000001.png")), "decompressed.json"))
    assert json.loads((tmp_path / "d/decompressed.json").read_text())["names"] == names


def test_windows_gets_no_names_of_its_devices(monkeypatch):
    monkeypatch.setattr(decompressed_files.sys, "platform", "win32")
    for name in ("nul.png", "COM1", "a:b.png", "a\\b.png", "b/what?.png", "a./b.png"):
        assert file_names([name]) == ()
    assert file_names(["null.png"]) == ("null.png",)
