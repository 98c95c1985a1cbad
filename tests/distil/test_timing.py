import numpy as np

from pocketvae.distil.timing import call_of, time_in_turns


class Clock:
    """Seconds that pass only while something is called."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def taking(self, seconds):
        """Returns a call that takes so long, and each tenth time a hundred times as long."""
        calls = 0

        def call():
            nonlocal calls
            calls += 1
            self.now += seconds * (100 if calls % 10 == 0 else 1)

        return call


def test_the_lower_quartile_leaves_out_what_disturbs():
    clock = Clock()
    found = time_in_turns(clock.taking(2e-3), clock.taking(0.5e-3), rounds=20, clock=clock)
    assert np.isclose(found.teacher_us, 2000)
    assert np.isclose(found.student_us, 500)
    assert np.isclose(found.speedup, 4)


def test_both_are_timed_by_turns():
    order = []
    clock = Clock()

    def call(name):
        run = clock.taking(1e-3)

        def called():
            order.append(name)
            run()

        return called

    time_in_turns(call("teacher"), call("student"), rounds=4, clock=clock)
    assert order[-8:] == ["student", "teacher", "teacher", "student"] * 2


def test_a_decoder_is_called_with_a_latent_and_a_label():
    from pocketvae.spec import TensorSpec

    class Runner:
        inputs = {  # noqa: RUF012
            "z": TensorSpec(name="z", dtype="float32", shape=(1, 3)),
            "label": TensorSpec(name="label", dtype="int32", shape=(1,)),
        }

        def prepare(self, feed):
            return lambda: feed

    feed = call_of(Runner())()
    assert {name: (values.shape, values.dtype.name) for name, values in feed.items()} == {
        "z": ((1, 3), "float32"),
        "label": ((1,), "int32"),
    }
