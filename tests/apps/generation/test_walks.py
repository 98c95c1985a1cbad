"""Interpolations and traversals, and the commands for them and for reconstructions."""

import numpy as np
import pytest
from PIL import Image

import pocketvae
from pocketvae.apps import (
    Interpolation,
    Traversal,
    interpolate,
    load_images,
    traverse,
)
from pocketvae.cli.main import main
from pocketvae.errors import DataError, OutputExistsError, SpecError


@pytest.fixture
def bundle(tmp_path, bundles):
    with pocketvae.open(bundles.make_bundle(tmp_path / "b")) as opened:
        yield opened


@pytest.fixture
def source(tmp_path, bundle):
    images = np.random.default_rng(0).integers(0, 256, (70, 6, 6), np.uint8)
    np.savez(tmp_path / "x.npz", images=images, labels=np.arange(70) % 10)
    return load_images(str(tmp_path / "x.npz"), bundle.vae)


@pytest.mark.parametrize(("name", "format"), [("i.png", "PNG"), ("i.gif", "GIF"), ("i.webp", "WEBP")])
def test_interpolations_are_strips_and_animations(bundle, tmp_path, name, format):
    stops = bundle.sample_latents(1, np.arange(3))
    assert interpolate(bundle, stops, Interpolation(steps=5), tmp_path / name, None, force=False) == 9
    with Image.open(tmp_path / name) as image:
        assert image.format == format
        if format != "PNG":
            assert image.n_frames == 16  # forth and back


def test_a_traversal_has_a_row_for_each_dimension(bundle, tmp_path):
    rows = traverse(bundle, np.zeros(3, np.float32), Traversal(steps=5), tmp_path / "t.png", None, force=False)
    assert sorted(dimension for dimension, _ in rows) == [0, 1, 2]
    assert [active for _, active in rows] == sorted((active for _, active in rows), reverse=True)
    middle = np.asarray(Image.open(tmp_path / "t.png"))[::2, ::2][2:8, 2 * 8 + 2 : 3 * 8]
    assert (middle == 128).all()  # where the coordinate is 0


def test_what_does_not_fit_is_refused(bundle, tmp_path):
    stops = np.zeros((2, 3), np.float32)
    with pytest.raises(SpecError, match=r"must end in .png or .gif or .webp, got 'x.jpg'"):
        interpolate(bundle, stops, Interpolation(), tmp_path / "x.jpg", None, force=False)
    with pytest.raises(DataError, match="at least 2 steps"):
        Traversal(steps=1)
    with pytest.raises(DataError, match="at most 10000, got 1000000000"):
        Interpolation(steps=10**9)
    with pytest.raises(DataError, match="shown for 1 to 60000 ms, got 0"):
        Interpolation(frame_ms=0)
    with pytest.raises(DataError, match="at most 10000 images, got 11999: use fewer steps"):
        interpolate(bundle, stops[[0, 1, 0]], Interpolation(steps=6000), tmp_path / "x.gif", None, force=False)
    with pytest.raises(DataError, match="at most 10000 images, got 3000000000"):
        traverse(bundle, stops[0], Traversal(steps=10**9), tmp_path / "x.png", None, force=False)
    with pytest.raises(DataError, match="span must be positive and finite, got nan"):
        Traversal(span=float("nan"))
    (tmp_path / "x.png").write_bytes(b"mine")
    with pytest.raises(OutputExistsError, match="pass --force"):
        interpolate(bundle, stops, Interpolation(), tmp_path / "x.png", None, force=False)
    assert (tmp_path / "x.png").read_bytes() == b"mine"


def test_the_commands_do_the_same(bundle, source, tmp_path, capsys, monkeypatch):
    del source
    monkeypatch.chdir(tmp_path)
    for words in (
        ["generate", "b", "--out", "g.png", "--count", "4"],
        ["reconstruct", "b", "x.npz", "--out", "r.npz", "--count", "5"],
        ["interpolate", "b", "--seeds", "1,2", "--out", "i.gif", "--path", "linear"],
        ["traverse", "b", "--out", "t.png", "--seed", "3"],
        ["encode", "b", "x.npz", "--out", "l.npz"],
    ):
        assert main([*words, "--quiet"]) == 0, words
    assert "70 posteriors of 3 dimensions: l.npz" in capsys.readouterr().out
    for words, message in (
        (["interpolate", "b", "--seeds", "1,x", "--out", "j.gif"], "seeds must be integers such as 1,2"),
        (["interpolate", "b", "--seeds", "1,2", "--out", "j.gif", "--path", "linea"], "did you mean 'linear'"),
        (["traverse", "b", "--out", "t.png"], "t.png exists"),
        (
            ["traverse", "b", "--out", "u.png", "--dimensions", "4"],
            "the VAE has 3 latent dimensions, got --dimensions 4",
        ),
        (["generate", "b", "--out", "g.png", "--force", "--label", "2"], "does not take a label"),
        (["encode", "b", "g.png", "--out", "m.npz"], "pass --resize"),
        (["reconstruct", "b", "nothing", "--out", "r.jpg"], "must end in .png or .npz, got 'r.jpg'"),
        (["reconstruct", "b", "nothing", "--out", "s.png", "--columns", "0"], "columns must be at least 1, got 0"),
        (["reconstruct", "b", "nothing", "--out", "s.png", "--columns", "-5"], "columns must be at least 1, got -5"),
    ):
        assert main([*words, "--quiet"]) == 2, words
        assert message in capsys.readouterr().err


def test_items_of_other_data_are_interpolated_between(sequence_bundle, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        np.save(f"{name}.npy", np.random.default_rng(ord(name)).random((3, 6, 6)).astype(np.float32))
    command = ["interpolate", str(sequence_bundle), "--out", "i.png", "--steps", "3", "--images"]
    assert main([*command, "a.npy", "b.npy"]) == 0
    assert "3 sequences: i.png" in capsys.readouterr().out
    assert main([*command, "a.npy", "mnist", "--force"]) == 2
    assert "which is a set of images" in capsys.readouterr().err
