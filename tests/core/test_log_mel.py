"""What makes spectrograms of samples says what it makes, and refuses what it cannot make."""

import pytest

from pocketvae.errors import SpecError
from pocketvae.log_mel import LogMel
from tests.sounds import front_end


def test_frames_and_bands_are_counted_and_named():
    front = LogMel(rate_hz=16_000, samples=16_896, frame=1024, hop=512, bands=64, low_hz=50, high_hz=8000)
    assert front.frames == 32
    assert len(front.names) == len(set(front.names)) == 64
    assert (front.corners_hz[0], front.corners_hz[-1]) == (pytest.approx(50), pytest.approx(8000))
    # 1 + hz / 700 is 1, 2 and 4: equally far apart on the mel scale.
    one = LogMel(rate_hz=16_000, samples=1024, frame=1024, hop=512, bands=1, low_hz=0, high_hz=2100)
    assert one.corners_hz == pytest.approx((0, 700, 2100))
    assert "16896 samples at 16000 Hz, in 64 log-mel bands from 50 to 8000 Hz" in front.description


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hop": 0}, "frame must be a multiple of hop, got 64 and 0"),
        ({"hop": 48}, "frame must be a multiple of hop, got 64 and 48"),
        ({"samples": 1000}, "multiple of the hop of 32, got 1000: the next ones are 992 and 1024"),
        (
            {"samples": 32},
            "at least a frame of 64 and a multiple of the hop of 32, got 32: the next ones are 64 and 96",
        ),
        ({"high_hz": 501.0}, "between 0 and half the rate, 500 Hz, got 50 to 501"),
        ({"low_hz": 400.0, "high_hz": 400.0}, "got 400 to 400"),
        ({"bands": 0}, "at least 1 band and a positive floor, got 0"),
        ({"floor": 0.0}, "at least 1 band and a positive floor"),
        ({"bands": 60}, "which are 15.62 Hz apart, but one of 60 reaches from [0-9]+ to [0-9]+ Hz: lower mel_bands"),
    ],
)
def test_what_cannot_be_made_is_refused(changes, message):
    with pytest.raises(SpecError, match=message):
        front_end(**changes)
