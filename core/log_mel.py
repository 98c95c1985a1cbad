"""The front end of a VAE of sounds: which log-mel spectrogram it makes of samples."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pocketvae.errors import SpecError
from pocketvae.spec import STRICT

# What is added to a band's power before its logarithm: 100 dB below a sine of full scale. Added, because the larger of
# two numbers is no number in some runtimes and the other in others.
FLOOR = 1e-10


@dataclass(frozen=True, kw_only=True)
class LogMel:
    """A log-mel spectrogram: frames of a Hann window, the power of their spectrum in bands, in decibels.

    Bands are triangles whose corners are evenly spaced on the mel scale of O'Shaughnessy (1987), each 1 at its centre.
    0 dB is about a sine of full scale.

    Attributes:
        rate_hz: Samples in a second.
        samples: T, of one item.
        frame: Samples of a frame.
        hop: Samples from the beginning of a frame to that of the next.
        bands: Number of bands.
        low_hz: Where the first band begins.
        high_hz: Where the last band ends.
        floor: Added to the power of a band.

    Raises:
        SpecError: a number is out of range, frames do not fill the item, or a band holds no frequency of a frame.
    """

    __pydantic_config__ = STRICT
    rate_hz: float
    samples: int
    frame: int
    hop: int
    bands: int
    low_hz: float
    high_hz: float
    floor: float = FLOOR

    def __post_init__(self) -> None:
        check_frames(self.samples, self.frame, self.hop)
        if not 0 <= self.low_hz < self.high_hz <= self.rate_hz / 2:
            raise SpecError(
                f"bands must lie between 0 and half the rate, {self.rate_hz / 2:g} Hz, got {self.low_hz:g} to "
                f"{self.high_hz:g}"
            )
        if self.bands < 1 or not self.floor > 0:
            raise SpecError(
                f"a front end must have at least 1 band and a positive floor, got {self.bands}, {self.floor}"
            )
        corners, apart = self.corners_hz, self.rate_hz / self.frame
        for low, high in zip(corners, corners[2:], strict=False):
            if (math.floor(low / apart) + 1) * apart >= high:
                raise SpecError(
                    f"every band must hold a frequency of a frame, which are {apart:.4g} Hz apart, but one of "
                    f"{self.bands} reaches from {low:.0f} to {high:.0f} Hz: lower mel_bands, or raise frame"
                )

    @property
    def frames(self) -> int:
        """F, the number of frames of an item."""
        return (self.samples - self.frame) // self.hop + 1

    @property
    def corners_hz(self) -> tuple[float, ...]:
        """`bands + 2` of them: where the triangles begin, peak and end; each begins where the last one peaks."""
        low, high = _mel(self.low_hz), _mel(self.high_hz)
        return tuple(_hz(low + (high - low) * index / (self.bands + 1)) for index in range(self.bands + 2))

    @property
    def names(self) -> tuple[str, ...]:
        """The bands by their centres."""
        return tuple(f"{centre:.0f} Hz" for centre in self.corners_hz[1:-1])

    @property
    def description(self) -> str:
        """What it is in words."""
        return (
            f"{self.samples} samples at {self.rate_hz:g} Hz, in {self.bands} log-mel bands from {self.low_hz:g} to "
            f"{self.high_hz:g} Hz"
        )


def check_frames(samples: int, frame: int, hop: int) -> None:
    """Checks that frames fill an item: no sample is left out, and frames begin at whole hops.

    Raises:
        SpecError: they do not.
    """
    if hop < 1 or frame < hop or frame % hop:
        raise SpecError(f"frame must be a multiple of hop, got {frame} and {hop}")
    if samples < frame or samples % hop:
        below = max(frame, samples // hop * hop)
        raise SpecError(
            f"window must be at least a frame of {frame} and a multiple of the hop of {hop}, got {samples}: the next "
            f"ones are {below} and {below + hop}"
        )


def _mel(hz: float) -> float:
    return 2595 * math.log10(1 + hz / 700)


def _hz(mel: float) -> float:
    return float(700 * (10 ** (mel / 2595) - 1))
