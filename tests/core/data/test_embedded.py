"""The recording inside the package."""

import numpy as np

from pocketvae.data.embedded import ECG, ECG_TRUTH, located
from pocketvae.data.training_values import Reading, load_training_values
from pocketvae.data.windows import Windowing
from pocketvae.vae_spec import DataKind


def _windows(**values):
    return Reading(data=DataKind.SEQUENCE, window=128, windowing=Windowing(stride=4, **values))


def test_a_file_of_the_name_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert located(ECG).name == "ecg.csv"
    (tmp_path / ECG).write_text("")
    assert located(ECG) == (tmp_path / ECG).relative_to(tmp_path)


def test_windows_with_the_early_beat_are_not_trained_with():
    found = load_training_values(ECG, _windows(truth=ECG_TRUTH))
    assert [channel.name for channel in found.channels] == ["lead_mv"]
    parts = (found.train, found.validation, found.test)
    starts = np.array([int(name.split(":")[1]) for part in parts for name in part.names])
    # The beat is labelled from the time step 1734 to 1821 of 1875.
    assert ((starts + 128 <= 1734) | (starts > 1821)).all()
    assert starts.max() > 1500
    everything = load_training_values(ECG, _windows(channels=("lead_mv",)))
    assert len(everything.test.names) > len(found.test.names)
    assert abs(found.rate_hz - 90) < 0.1
