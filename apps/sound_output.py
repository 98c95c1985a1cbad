"""Sequences as sound: one file, one item behind the other."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.errors import DataError, SpecError, TargetError
from pocketvae.installation import install_command
from pocketvae.kinds.registry import kind_of
from pocketvae.system import files
from pocketvae.vae_spec import DataKind, VaeSpec

# What a WAV file's header can say.
_MOST_CHANNELS, _HIGHEST_RATE_HZ = 65_535, 2**31 - 1
_LARGEST_BYTES = 2**32 - 1024
_SAMPLE_BYTES = 4


def check_sound(vae: VaeSpec, count: int, rate_hz: float | None) -> int:
    """Checks that items of a VAE can be written as sound.

    Args:
        vae: Its interface.
        count: Number of items.
        rate_hz: Samples in a second, asked for; None for the VAE's own.

    Returns:
        Samples in a second.

    Raises:
        SpecError: they are not sequences, or spectrograms, or the rate is not known or not a whole number.
        DataError: there is more than a WAV file can hold.
        TargetError: soundfile is not installed.
    """
    if vae.data is not DataKind.SEQUENCE:
        raise SpecError(f"a .wav holds sequences, but the model makes {kind_of(vae.data).plural}: name an .npz or .png")
    if vae.log_mel is not None:
        raise SpecError("a .wav holds sound, but what this model makes is spectrograms: name a .csv, .npz or .png")
    wanted = vae.rate_hz if rate_hz is None else rate_hz
    if wanted is None:
        raise SpecError("a .wav needs the time steps in a second, which this model does not say: pass --rate HZ")
    if not 1 <= wanted <= _HIGHEST_RATE_HZ or wanted != int(wanted):
        raise SpecError(
            f"a .wav needs a rate in whole Hz, 1 to {_HIGHEST_RATE_HZ}, got {wanted:g}: pass another --rate HZ"
        )
    steps, channels = vae.data_shape
    if channels > _MOST_CHANNELS or count * steps * channels * _SAMPLE_BYTES > _LARGEST_BYTES:
        raise DataError(f"a .wav holds at most 4 GB and {_MOST_CHANNELS} channels: write fewer, or name an .npz")
    _soundfile()
    return int(wanted)


def write_sound(
    out: Path, rate_hz: int, channels: int, chunks: Iterable[npt.NDArray[Any]], *, force: bool = False
) -> None:
    """Writes items one behind the other, as 32-bit floats, which keep values beyond full scale.

    Args:
        out: The `.wav`.
        rate_hz: Samples in a second.
        channels: C.
        chunks: Items, `[N, T, C]` each; full scale is 1 and -1.
        force: Replace `out` if it exists.

    Raises:
        OutputExistsError: `out` exists and `force` is off.
    """
    soundfile = _soundfile()
    with (
        files.staged_file(out, force=force) as temporary,
        soundfile.SoundFile(temporary, "w", rate_hz, channels, subtype="FLOAT", format="WAV") as file,
    ):
        for items in chunks:
            file.write(np.ascontiguousarray(items.reshape(-1, channels), np.float32))


def _soundfile() -> Any:
    try:
        import soundfile
    except (ImportError, OSError) as e:
        raise TargetError(f"sound files need soundfile: run {install_command('sound')}") from e
    return soundfile
