"""Sound files, read by soundfile."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from pocketvae.errors import DataError, TargetError
from pocketvae.installation import install_command
from pocketvae.parsing import shortened


def read_sound(path: Path) -> tuple[npt.NDArray[np.float32], float]:
    """Reads a sound file.

    Returns:
        Samples `[T, C]`, full scale at 1 and -1, and how many there are in a second.

    Raises:
        DataError: the file is damaged or holds no samples.
        TargetError: soundfile is not installed.
    """
    try:
        import soundfile
    except (ImportError, OSError) as e:
        raise TargetError(f"sound files need soundfile: run {install_command('sound')}") from e
    try:
        with soundfile.SoundFile(path) as file:
            claimed, rate_hz = file.frames, file.samplerate
            samples = file.read(dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError) as e:
        raise DataError(f"{path} cannot be read as sound: {shortened(e)}") from e
    if len(samples) < claimed:
        raise DataError(f"{path} is damaged: it should hold {claimed} samples, but only {len(samples)} can be read")
    if not len(samples):
        raise DataError(f"{path} must hold samples, got none")
    return samples, float(rate_hz)
