"""Sequences, and encoders without a posterior, through every app that is given data."""

import json

import numpy as np
import pytest
from PIL import Image

import pocketvae
from pocketvae.apps import SourceImages, load_tables
from pocketvae.apps.anomaly.features import Sampling, image_features
from pocketvae.apps.choice import Choice
from pocketvae.apps.compression.latent_tables import steps_of
from pocketvae.numerics.noise import normal_noise
from pocketvae.vae_spec import DataKind, Likelihood, PosteriorKind, VaeSpec, vector_latent

SEQUENCES = VaeSpec(
    data=DataKind.SEQUENCE,
    data_shape=(18, 2),
    latents=vector_latent(3),
    likelihood=Likelihood.UNKNOWN,
    data_range=(-1.0, 3.0),
    range_is_strict=False,
)
VOLUMES = VaeSpec(
    data=DataKind.VOLUME,
    data_shape=(3, 4, 3, 1),
    latents=vector_latent(3),
    likelihood=Likelihood.UNKNOWN,
    data_range=(-1.0, 3.0),
    range_is_strict=False,
)
PLAIN = VaeSpec(
    data_shape=(6, 6, 1),
    latents=vector_latent(3),
    likelihood=Likelihood.UNKNOWN,
    posterior=PosteriorKind.NONE,
)


@pytest.fixture
def folder(tmp_path, monkeypatch, bundles):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    weight = bundles.right_weight()
    items = 1 / (1 + np.exp(-(rng.normal(size=(300, 3)) @ weight))) + 0.05 * rng.normal(size=(300, 36))
    np.save("seen.npy", items.reshape(-1, 18, 2).astype(np.float32))
    np.save("odd.npy", rng.uniform(-3, 5, (40, 18, 2)).astype(np.float32))
    bundles.make_bundle(tmp_path / "sequences", vae=SEQUENCES)
    bundles.make_bundle(tmp_path / "volumes", vae=VOLUMES)
    bundles.make_bundle(tmp_path / "plain", vae=PLAIN)
    return tmp_path


def test_sequences_are_reconstructed_in_their_own_units(folder, command):
    done = command("reconstruct", "sequences", "seen.npy", "--count", 7, "--out", "r.npz")
    with np.load("r.npz") as arrays:
        error = np.sqrt(np.mean((arrays["sequences"].astype(float) - arrays["reconstructions"]) ** 2))
    assert f"7 sequences, RMS error {error:.3g}, {100 * error / 4:.2g} % of the range: r.npz" in done.out
    command("reconstruct", "sequences", "seen.npy", "--count", 3, "--out", "r.csv")
    assert (folder / "r.csv").read_text().startswith("index,step_0_channel_0,")
    command("reconstruct", "sequences", "seen.npy", "--count", 3, "--out", "r.png", "--columns", 2)
    assert np.asarray(Image.open("r.png")).shape[2] == 3


def test_sequences_are_compressed_but_not_without_loss(folder, command, refused):
    done = command("compress", "sequences", "seen.npy", "--fit")
    assert "fitted to 270 training sequences" in done.out
    done = command("compress", "sequences", "seen.npy", "--count", 70, "--out", "s.pvae", "--quality", 10)
    assert "70 sequences in " in done.out
    assert " bits per value: s.pvae" in done.out
    assert "70 lossy sequences" in command("decompress", "sequences", "s.pvae", "--out", "s.npz").out
    with pocketvae.open("sequences") as bundle, np.load("s.npz") as found:
        assert np.array_equal(found["sequences"], bundle.decoder().decode(found["z"]))
        z_mean = bundle.encoder().encode(np.load("seen.npy")[:70]).z_mean
        steps = np.ldexp(steps_of(10), -load_tables(folder / "sequences" / "codec.npz").latents.exponents.astype(int))
        assert (np.abs(found["z"] - z_mean) <= steps).all()
    command("decompress", "sequences", "s.pvae", "--out", "s.csv")
    assert len((folder / "s.csv").read_text().splitlines()) == 71
    refused("a .wav needs the time steps in a second", "decompress", "sequences", "s.pvae", "--out", "s.wav")
    refused("a folder holds images, but the file holds sequences", "decompress", "sequences", "s.pvae", "--out", "s")
    words = ["compress", "sequences", "seen.npy"]
    refused("sequences hold real numbers, which have no smallest step", *words, "--out", "l", "--lossless")
    refused("--fit-steps trains the network of pixels", *words, "--fit", "--fit-steps", 9, "--force")
    refused("--resize is for images, but this model is of sequences", *words, "--fit", "--resize", "--force")


def test_volumes_go_through_every_app(folder, command, refused):
    np.save("voxels.npy", np.load("seen.npy").reshape(-1, 3, 4, 3, 1))
    np.save("strange.npy", np.load("odd.npy").reshape(-1, 3, 4, 3, 1))
    assert "300 posteriors of 3 dimensions" in command("encode", "volumes", "voxels.npy", "--out", "z.npz").out
    assert (
        "4 volumes, RMS error " in command("reconstruct", "volumes", "voxels.npy", "--count", 4, "--out", "r.npz").out
    )
    command("reconstruct", "volumes", "voxels.npy", "--count", 4, "--out", "r.png")
    for words in (["generate", "volumes", "--count", 3], ["traverse", "volumes"]):
        command(*words, "--out", f"{words[0]}.png")
    command("interpolate", "volumes", "--seeds", "1,2", "--out", "i.png")
    command("score", "volumes", "voxels.npy", "--calibrate", "--calibration", "c.json", "--false-positive-rate", 0.1)
    done = command("score", "volumes", "strange.npy", "--calibration", "c.json")
    assert "of 40 volumes are anomalies: density above" in done.out
    command("compress", "volumes", "voxels.npy", "--fit")
    command("compress", "volumes", "voxels.npy", "--count", 5, "--out", "v.pvae")
    assert "5 lossy volumes" in command("decompress", "volumes", "v.pvae", "--out", "v.npz").out
    with np.load("v.npz") as found:
        assert found["volumes"].shape == (5, 3, 4, 3, 1)
    refused(
        "a .csv holds vectors or sequences, but the model is of volumes",
        "decompress",
        "volumes",
        "v.pvae",
        "--out",
        "v.csv",
    )


def test_strange_sequences_are_found(folder, command, refused):
    words = ["--calibration", "c.json"]
    done = command("score", "sequences", "seen.npy", "--calibrate", *words, "--false-positive-rate", 0.1)
    assert "of normal sequences lie above each threshold, estimated on 30 held-out sequences" in done.out
    assert "complexity" not in done.out + done.err
    done = command(
        "score", "sequences", "odd.npy", *words, "--normal", "seen.npy", "--json", "s.json", "--roc", "r.svg"
    )
    assert "40 of 40 sequences are anomalies: density above" in done.out
    document = json.loads((folder / "s.json").read_text())
    assert (document["data"], len(document["items"])) == ("sequence", 40)
    assert set(document["auroc"]) == {"elbo", "reconstruction", "density", "offset"}
    assert "normal sequences above the threshold" in (folder / "r.svg").read_text()
    refused(
        "the score complexity is for images: use elbo or ",
        "score",
        "sequences",
        "odd.npy",
        *words,
        "--score",
        "complexity",
    )


def test_the_likelihood_of_sequences_is_in_their_own_unit(folder):
    items = np.load("seen.npy")[:5]
    source = SourceImages(images=items, names=tuple("abcde"), labels=None)
    with pocketvae.open("sequences") as bundle:
        features = image_features(bundle, source, Choice(), Sampling(samples=1, seed=3))
        posterior = bundle.encoder().encode(items)
        z = posterior.z_mean + np.exp(posterior.z_log_var / 2) * normal_noise(3, [0], 3)
        difference = bundle.decoder().decode(z) - items
    sigma = 0.2
    nats = 0.5 * np.log(2 * np.pi * sigma**2) + 0.5 * np.square(difference / sigma)
    found = features.reconstruction_nats(SEQUENCES, sigma / 4)
    np.testing.assert_allclose(found, nats.sum(axis=(1, 2)), rtol=1e-4)


def test_without_a_posterior_the_reconstruction_error_is_the_only_score(folder, command, refused):
    np.save("images.npy", (255 * np.clip(np.load("seen.npy"), 0, 1)).astype(np.uint8).reshape(-1, 6, 6))
    words = ["score", "plain", "images.npy", "--calibration", "c.json"]
    refused(
        "--samples draws latents of posteriors, which this encoder does not have", *words, "--calibrate", "--samples", 2
    )
    done = command(*words, "--calibrate", "--false-positive-rate", 0.1)
    assert done.err.count("warning: ") == 1
    assert "has no posterior: all scores are of the reconstruction error" in done.err
    done = command(*words, "--csv", "s.csv")
    assert "images are anomalies: reconstruction above" in done.out
    assert (folder / "s.csv").read_text().startswith("name,reconstruction,anomalous\n")
    refused("the score density needs posteriors, .*: use reconstruction", *words, "--score", "density")
    done = command("encode", "plain", "images.npy", "--out", "z.npz")
    assert "300 latents of 3 dimensions" in done.out


def test_latents_without_a_posterior_are_compressed_in_steps_of_their_own_size(folder, command):
    images = (255 * np.clip(np.load("seen.npy"), 0, 1)).astype(np.uint8).reshape(-1, 6, 6)
    np.save("plain.npy", images)
    command("compress", "plain", "plain.npy", "--fit", "--fit-steps", 2)
    command("compress", "plain", "plain.npy", "--count", 64, "--out", "p.pvae", "--quality", 10)
    command("decompress", "plain", "p.pvae", "--out", "p.npz")
    tables = load_tables(folder / "plain" / "codec.npz").latents
    with pocketvae.open("plain") as bundle, np.load("p.npz") as found:
        z_mean = bundle.encoder().encode(images[:64, ..., None]).z_mean
        steps = np.ldexp(steps_of(10), -tables.exponents.astype(int))
        assert (np.abs(found["z"] - z_mean) <= steps).all()
        assert (steps < z_mean.std(axis=0) / 4).all()
        assert np.array_equal(found["images"], bundle.decoder().decode_pixels(found["z"]))
