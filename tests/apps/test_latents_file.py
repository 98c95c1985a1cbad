import csv
import re

import numpy as np
import pytest

import pocketvae
from pocketvae.apps import (
    Choice,
    encode_images,
    load_images,
    write_latents,
)
from pocketvae.cli.main import main
from pocketvae.installation import install_command
from pocketvae.models.components import Encoder, Posterior
from pocketvae.vae_spec import Latent, class_label


@pytest.fixture
def bundle(tmp_path, bundles):
    with pocketvae.open(bundles.make_bundle(tmp_path / "b")) as opened:
        yield opened


@pytest.fixture
def source(tmp_path, bundle):
    images = np.random.default_rng(0).integers(0, 256, (70, 6, 6), np.uint8)
    np.savez(tmp_path / "x.npz", images=images, labels=np.arange(70) % 10)
    return load_images(str(tmp_path / "x.npz"), bundle.vae)


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


def test_latents_are_written_as_csv_that_reads_back_exactly(bundle, source, tmp_path):
    posterior = encode_images(bundle, source, Choice())
    write_latents(tmp_path / "l.csv", posterior, source, force=False)
    with (tmp_path / "l.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:3] == ["name", "label", "z_mean_0"]
    assert [int(row["label"]) for row in rows] == source.labels.tolist()
    assert [row["name"] for row in rows] == list(source.names)
    values = np.array([[row[f"z_log_var_{dimension}"] for dimension in range(3)] for row in rows], np.float32)
    np.testing.assert_array_equal(values, posterior.z_log_var)


def test_the_labels_are_those_that_the_latents_were_made_with(source):
    assert source.labelled(None) is source
    assert source.labelled(7).labels.tolist() == [7] * 70
    assert source.labelled(7).names == source.names


@pytest.fixture
def conditional(bundle, monkeypatch):
    """The bundle as that of a class-conditional VAE, whose encoder heeds no label."""
    object.__setattr__(bundle.manifest.vae, "conditions", class_label(10))
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
    with pytest.raises(pocketvae.TargetError, match=re.escape(f"{install_command('parquet')}, or write .npz")):
        write_latents(tmp_path / "l.parquet", encode_images(bundle, source, Choice()), source, force=False)


def test_each_of_several_latents_has_its_name(source, tmp_path):
    z = np.arange(70 * 5, dtype=np.float32).reshape(70, 5)
    latents = (Latent(name="z_top", shape=(1,)), Latent(name="z_bottom", shape=(2, 2)))
    write_latents(tmp_path / "l.npz", Posterior(z_mean=z, z_log_var=-z), source, latents=latents, force=False)
    with np.load(tmp_path / "l.npz", allow_pickle=False) as archive:
        assert np.array_equal(archive["z_top_mean"], z[:, :1])
        assert np.array_equal(archive["z_bottom_log_var"], -z[:, 1:])
    write_latents(tmp_path / "l.npz", Posterior(z_mean=z.astype(np.int32), z_log_var=None), source, force=True)
    with np.load(tmp_path / "l.npz", allow_pickle=False) as archive:
        assert sorted(archive) == ["labels", "names", "z"]
