"""Log-mel spectrograms are those of numpy's transform and of bands computed in another way."""

import numpy as np
import pytest

from pocketvae.numerics.normalization import normalized
from pocketvae.numerics.spectrogram import model_items, spectrogram
from tests.sounds import RATE_HZ, front_end, hum, sound_vae


def expected_decibels(samples, front):
    """`[F, bands]` of `[T]`, with numpy's transform and interpolated triangles."""
    window = np.hanning(front.frame + 1)[:-1]
    starts = range(0, len(samples) - front.frame + 1, front.hop)
    frames = np.stack([samples[start : start + front.frame] for start in starts]).astype(np.float64)
    power = np.abs(np.fft.rfft(frames * window * 2 / window.sum())) ** 2
    mels = np.linspace(*(2595 * np.log10(1 + np.array([front.low_hz, front.high_hz]) / 700)), front.bands + 2)
    corners = 700 * (10 ** (mels / 2595) - 1)
    hz = np.fft.rfftfreq(front.frame, 1 / front.rate_hz)
    weights = np.stack([np.interp(hz, corners[band : band + 3], [0, 1, 0]) for band in range(front.bands)])
    return 10 * np.log10(power @ weights.T + front.floor)


# Sizes with equal factors, different ones, odd ones and none.
@pytest.mark.parametrize(("frame", "hop"), [(64, 32), (64, 64), (128, 32), (96, 24), (75, 25), (61, 61), (90, 30)])
def test_spectrograms_are_those_of_the_discrete_fourier_transform(frame, hop):
    front = front_end(frame=frame, hop=hop, samples=hop * 9, bands=5)
    samples = np.stack([hum(1, seed)[: front.samples] for seed in range(3)])
    found = spectrogram(samples[..., None], front)
    assert (found.shape, found.dtype) == ((3, front.frames, 5), np.float32)
    for item, own in zip(found, samples, strict=True):
        np.testing.assert_allclose(item, expected_decibels(own, front), atol=2e-4)


def test_a_sine_of_full_scale_at_a_frequency_is_about_0_db_and_silence_is_the_floor():
    front = front_end(bands=1, low_hz=0.0, high_hz=500.0)
    peak_hz = front.corners_hz[1]
    apart = RATE_HZ / front.frame
    sine = np.sin(2 * np.pi * round(peak_hz / apart) * apart * np.arange(front.samples) / RATE_HZ)
    # The window gives a quarter of the power to either neighbour.
    assert spectrogram(sine[None, :, None], front).mean() == pytest.approx(10 * np.log10(1.5), abs=0.2)
    assert np.ptp(spectrogram(0.01 * sine[None, :, None], front) - spectrogram(sine[None, :, None], front)) < 1e-3
    assert spectrogram(np.zeros((1, front.samples, 1)), front).tolist() == np.full((1, 7, 1), -100.0).tolist()


def test_many_items_are_computed_in_parts_as_one():
    front = front_end(samples=32 * 300)
    samples = np.random.default_rng(0).normal(size=(130, front.samples, 1)).astype(np.float32)
    np.testing.assert_array_equal(spectrogram(samples, front)[-1], spectrogram(samples[-1:], front)[0])


def test_models_know_spectrograms_in_their_own_units():
    vae = sound_vae()
    samples = hum(1)[None, : vae.log_mel.samples, None]
    np.testing.assert_allclose(
        model_items(samples, vae), normalized(spectrogram(samples, vae.log_mel), vae.channels), atol=1e-6
    )
    assert model_items(samples, vae.behind_front_end) is samples
