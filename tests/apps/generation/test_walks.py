"""Reconstructions, interpolations, traversals and tables of latents."""

import numpy as np
import pytest
from PIL import Image

import pocketvae
from pocketvae import apps
from pocketvae.apps import (
    Choice,
    Interpolation,
    Traversal,
    encode_images,
    interpolate,
    load_images,
    traverse,
    write_latents,
    write_reconstruction,
)
from pocketvae.apps.generation.reconstruct import reconstruct
from pocketvae.cli.main import main
from pocketvae.errors import DataError, OutputExistsError, SpecError
from pocketvae.models.components import Encoder


@pytest.fixture
def bundle(tmp_path, bundles):
    with pocketvae.open(bundles.make_bundle(tmp_path / "b")) as opened:
        yield opened


@pytest.fixture
def source(tmp_path, bundle):
    images = np.random.default_rng(0).integers(0, 256, (70, 6, 6), np.uint8)
    np.savez(tmp_path / "x.npz", images=images, labels=np.arange(70) % 10)
    return load_images(str(tmp_path / "x.npz"), bundle.vae)


def test_reconstructions_are_what_the_decoder_makes_of_the_means(bundle, source, tmp_path):
    result = reconstruct(bundle, source, Choice())
    means = bundle.encoder().encode(source.images).z_mean
    assert np.array_equal(result.reconstructions, bundle.decoder().decode_pixels(means))
    error = result.images.astype(float) - result.reconstructions
    assert result.psnr_db == pytest.approx(10 * np.log10(255**2 / np.mean(error**2)))
    write_reconstruction(result, tmp_path / "r.png", columns=10, force=False)
    sheet = np.asarray(Image.open(tmp_path / "r.png"))[::2, ::2]
    assert sheet.shape == (14 * 8 + 2, 10 * 8 + 2)
    assert np.array_equal(sheet[2:8, 2:8], source.images[0, ..., 0])
    assert np.array_equal(sheet[10:16, 2:8], result.reconstructions[0, ..., 0])


def test_too_many_images_for_a_picture_are_refused_before_any_work(bundle, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.save("many.npy", np.zeros((501, 6, 6), np.uint8))
    monkeypatch.setattr(apps, "reconstruct", lambda *_: pytest.fail("it has begun"))
    assert main(["reconstruct", "b", "many.npy", "--out", "r.png", "--columns", "1", "--quiet"]) == 2
    assert "at most 500 images: pass --count, or use .npz" in capsys.readouterr().err


def test_latents_are_written_as_arrays_and_as_parquet(bundle, source, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    posterior = encode_images(bundle, source, Choice())
    for name in ("l.npz", "l.parquet"):
        write_latents(tmp_path / name, posterior, source, force=False)
    with np.load(tmp_path / "l.npz", allow_pickle=False) as archive:
        assert np.array_equal(archive["z_mean"], posterior.z_mean)
        assert archive["labels"].tolist() == source.labels.tolist()
        assert archive["names"].tolist() == list(source.names)
    table = parquet.read_table(tmp_path / "l.parquet")
    assert table.column_names[:3] == ["name", "label", "z_mean_0"]
    assert np.array_equal(table["z_log_var_2"].to_numpy(), posterior.z_log_var[:, 2])


def test_the_labels_are_those_that_the_latents_were_made_with(source):
    assert source.labelled(None) is source
    assert source.labelled(7).labels.tolist() == [7] * 70
    assert source.labelled(7).names == source.names


@pytest.fixture
def conditional(bundle, monkeypatch):
    """The bundle as that of a class-conditional VAE, whose encoder heeds no label."""
    object.__setattr__(bundle.manifest.vae, "label_count", 10)
    monkeypatch.setattr(pocketvae, "open", lambda _: bundle)
    encode = Encoder.encode
    monkeypatch.setattr(Encoder, "encode", lambda self, images, label: encode(self, images))


def test_encode_writes_the_label_that_is_named(conditional, source, tmp_path):
    for words, expected in ((["--label", "7"], [7] * 70), ([], source.labels.tolist())):
        command = ["encode", "b", str(tmp_path / "x.npz"), "--out", str(tmp_path / "l.npz"), "--force", "--quiet"]
        assert main([*command, *words]) == 0
        with np.load(tmp_path / "l.npz", allow_pickle=False) as archive:
            assert archive["labels"].tolist() == expected


def test_parquet_without_pyarrow_says_what_to_install(bundle, source, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(pocketvae.TargetError, match=r"pip install 'pocketvae\[parquet\]', or write .npz"):
        write_latents(tmp_path / "l.parquet", encode_images(bundle, source, Choice()), source, force=False)


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
