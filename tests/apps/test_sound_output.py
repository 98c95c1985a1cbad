"""Sequences as sound: the file holds what an array would."""

import math

import numpy as np
import pytest

import pocketvae
from pocketvae.apps import GenerateRequest, generate_to
from pocketvae.apps.compression.codec import Decompressed
from pocketvae.apps.compression.decompressed_files import check_decompressed_output, write_decompressed
from pocketvae.apps.sound_output import check_sound
from pocketvae.errors import DataError, OutputExistsError, PocketVaeError, SpecError
from tests.sounds import sound_vae

soundfile = pytest.importorskip("soundfile")


def test_a_wav_holds_the_items_one_behind_the_other(sequence_bundle, tmp_path):
    request = GenerateRequest(seed=3, count=70)
    generate_to(sequence_bundle, request, tmp_path / "x.wav", rate_hz=50)
    generate_to(sequence_bundle, request, tmp_path / "x.npz")
    samples, rate_hz = soundfile.read(tmp_path / "x.wav", dtype="float32")
    with np.load(tmp_path / "x.npz", allow_pickle=False) as archive:
        expected = archive["sequences"]
    np.testing.assert_array_equal(samples, expected.reshape(-1, expected.shape[2]))
    assert rate_hz == 50
    with pytest.raises(OutputExistsError):
        generate_to(sequence_bundle, request, tmp_path / "x.wav", rate_hz=50)


def test_decompressed_sequences_are_sound_too(sequence_bundle, tmp_path):
    with pocketvae.open(sequence_bundle) as bundle:
        vae = bundle.vae
    values = np.random.default_rng(0).normal(size=(5, *vae.data_shape)).astype(np.float32)
    result = Decompressed(vae=vae, images=values, z=None, labels=None)
    write_decompressed(result, tmp_path / "x.npz", force=False)
    write_decompressed(result, tmp_path / "x.wav", rate_hz=50, force=False)
    samples, rate_hz = soundfile.read(tmp_path / "x.wav", dtype="float32")
    with np.load(tmp_path / "x.npz", allow_pickle=False) as archive:
        np.testing.assert_array_equal(samples, archive["sequences"].reshape(-1, vae.data_shape[1]))
    assert rate_hz == 50
    with pytest.raises(SpecError, match="pass --rate HZ"):
        write_decompressed(result, tmp_path / "y.wav", force=False)
    with pytest.raises(SpecError, match=r"only a .wav has a rate"):
        check_decompressed_output(tmp_path / "y.npz", rate_hz=50)


@pytest.mark.parametrize(
    ("out", "rate_hz", "count", "error", "message"),
    [
        ("x.wav", None, 1, SpecError, "pass --rate HZ"),
        *(("x.wav", rate, 1, SpecError, "a rate in whole Hz, 1 to") for rate in (0.1, 12.5, math.nan, math.inf)),
        ("x.npz", 50.0, 1, SpecError, "only a .wav has a rate"),
        ("x.wav", 50.0, 2**30, DataError, "at most 4 GB"),
    ],
)
def test_what_no_wav_can_hold_is_refused(sequence_bundle, tmp_path, out, rate_hz, count, error, message):
    with pytest.raises(error, match=message):
        generate_to(sequence_bundle, GenerateRequest(count=count), tmp_path / out, rate_hz=rate_hz)
    assert not (tmp_path / out).exists()


def test_images_are_no_sound(tables_path, tmp_path):
    with pocketvae.open(tables_path) as bundle:
        assert bundle.vae.data == "image"
    with pytest.raises(PocketVaeError, match="a .wav holds sequences, but the model makes images"):
        generate_to(tables_path, GenerateRequest(), tmp_path / "x.wav")


def test_spectrograms_are_no_sound():
    with pytest.raises(SpecError, match="what this model makes is spectrograms: name a .csv, .npz or .png"):
        check_sound(sound_vae(), 2, 1000.0)
