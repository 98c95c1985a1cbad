"""Sounds for tests: a hum with noise, as samples and as files, and small front ends."""

from pathlib import Path

import numpy as np

from pocketvae.fields import Channel, LogMel
from pocketvae.vae_spec import DataKind, Likelihood, VaeSpec, vector_latent

RATE_HZ = 1000


def front_end(**changes: object) -> LogMel:
    """Returns a small front end: 7 frames of 8 bands."""
    usual = {"rate_hz": RATE_HZ, "samples": 256, "frame": 64, "hop": 32, "bands": 8, "low_hz": 50.0, "high_hz": 500.0}
    return LogMel(**{**usual, **changes})


def sound_vae(**changes: object) -> VaeSpec:
    """Returns the interface of a VAE of sounds."""
    front = front_end()
    channels = tuple(
        Channel(name=name, mean=-40.0 - index, scale=5.0 + index, noise_scale=0.5)
        for index, name in enumerate(front.names)
    )
    usual = {
        "data": DataKind.SEQUENCE,
        "data_shape": (front.frames, front.bands),
        "latents": vector_latent(2),
        "likelihood": Likelihood.GAUSSIAN,
        "channels": channels,
        "rate_hz": RATE_HZ / front.hop,
        "log_mel": front,
        "range_is_strict": False,
    }
    return VaeSpec(**{**usual, **changes})


def hum(seconds: float, seed: int = 0, *, whistle: float = 0.0) -> np.ndarray:
    """Returns `[T] float32` of a machine at 1 kHz: a hum of 100 Hz, noise, and where it is broken a tone of 330 Hz."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    loudness = 0.2 + 0.05 * np.sin(2 * np.pi * 0.7 * t + rng.uniform(0, 6))
    sound = loudness * np.sin(2 * np.pi * 100 * t) + 0.01 * rng.normal(size=len(t))
    return (sound + whistle * np.sin(2 * np.pi * 330 * t)).astype(np.float32)


def write_sound(path: Path, samples: np.ndarray, rate_hz: int = RATE_HZ) -> Path:
    """Writes samples `[T]` or `[T, C]` as a sound file of 16 bits."""
    import soundfile

    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate_hz, subtype="PCM_16")
    return path
