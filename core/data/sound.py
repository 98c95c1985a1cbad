"""Sound files, read by soundfile."""

from __future__ import annotations

import struct
from pathlib import Path

from pocketvae.data.rows import BLOCK_ROWS, Collector
from pocketvae.errors import DataError, TargetError
from pocketvae.installation import install_command
from pocketvae.parsing import shortened

# Mark, number of bytes behind it, form.
_RIFF = struct.Struct("<4sI4s")
_RIFF_HEAD, _UNKNOWN = 8, 0xFFFFFFFF


def read_sound(path: Path, collector: Collector) -> float:
    """Reads a sound file, some samples at a time.

    Args:
        path: The file.
        collector: Takes the samples `[n, C]`, full scale at 1 and -1.

    Returns:
        How many time steps there are in a second.

    Raises:
        DataError: the file is damaged or holds no samples.
        TargetError: soundfile is not installed.
    """
    try:
        import soundfile
    except (ImportError, OSError) as e:
        raise TargetError(f"sound files need soundfile: run {install_command('sound')}") from e
    try:
        _check_whole(path)
        with soundfile.SoundFile(path) as file:
            claimed, rate_hz, count = file.frames, file.samplerate, 0
            while len(samples := file.read(BLOCK_ROWS, dtype="float32", always_2d=True)):
                collector.add(samples)
                count += len(samples)
    except (soundfile.SoundFileError, OSError) as e:
        raise DataError(f"{path} cannot be read as sound: {shortened(e)}") from e
    if count < claimed:
        raise DataError(f"{path} is damaged: it should hold {claimed} samples, but only {count} can be read")
    if not count:
        raise DataError(f"{path} must hold samples, got none")
    return float(rate_hz)


def _check_whole(path: Path) -> None:
    """Refuses a WAV file that ends early, whose samples libsndfile counts anew without a word.

    Raises:
        DataError: it is shorter than it says.
    """
    with path.open("rb") as file:
        start = file.read(_RIFF.size)
    if len(start) < _RIFF.size:
        return  # soundfile says what it is not.
    mark, claimed, form = _RIFF.unpack(start)
    # Programs that write into a pipe do not know the length, and claim the largest or none.
    if (mark, form) != (b"RIFF", b"WAVE") or claimed in (0, _UNKNOWN):
        return
    held = path.stat().st_size - _RIFF_HEAD
    # The last byte may be padding that was not written.
    if held + 1 < claimed:
        raise DataError(f"{path} is damaged: it should hold {claimed} bytes, but only {held} are there")
