import pytest

from pocketvae.benchmarks.execution.running import time_loaded
from pocketvae.runtimes.base import Runner


class Slow(Runner):
    """A file whose call takes so many seconds of a clock of its own."""

    def __init__(self, call_s):
        self.inputs, self.outputs, self.batch, self.batches, self.runtime = {}, {}, 1, (1,), ""
        self.call_s, self.now_s, self.calls = call_s, 0.0, 0

    def prepare(self, feed):
        return lambda: self._invoke(feed)

    def _invoke(self, feed):
        self.now_s, self.calls = self.now_s + self.call_s, self.calls + 1
        return {}

    def close(self):
        """There is nothing to close."""


@pytest.mark.parametrize(
    ("call_s", "count", "values", "calls"),
    [(0.01, 200, 200, 224), (1.0, 200, 60, 69), (10.0, 200, 30, 35), (10, 7, 7, 12)],
)
def test_slow_files_get_fewer_warm_up_calls_and_values(call_s, count, values, calls, monkeypatch):
    """Besides these there are the first call and three that find how many calls a value holds."""
    slow = Slow(call_s)
    monkeypatch.setattr("time.perf_counter", lambda: slow.now_s)
    latency = time_loaded(lambda: slow, {}, (0.0, 1.0), count)
    assert (len(latency.values_s), slow.calls) == (values, calls)
    assert latency.values_s == pytest.approx([call_s] * values)
