"""The search for the layer that a converter dies on, with converters that die of what the test says."""

import itertools
import signal

import pytest

from pocketvae.export.blame import died_of_a_fault, fatal_layer

NAMES = [f"{letter!r} (Op)" for letter in "abcdefghij"]


@pytest.mark.parametrize("fatal", range(10))
def test_the_first_layer_that_kills_is_found_in_few_trials(fatal):
    tried = []

    def dies(count):
        tried.append(count)
        return count > fatal

    assert fatal_layer(NAMES, dies, 60.0) == f"the layer {NAMES[fatal]}"
    assert tried[0] == 10
    assert len(tried) <= 5


def test_nothing_is_blamed_if_the_whole_graph_is_converted_the_second_time():
    assert fatal_layer(NAMES, lambda count: False, 60.0) == ""
    assert fatal_layer([], lambda count: True, 60.0) == ""


def test_time_that_runs_out_leaves_a_range():
    seconds = itertools.count(step=10)
    found = fatal_layer(NAMES, lambda count: count > 6, 25.0, lambda: float(next(seconds)))
    assert found == f"a layer from {NAMES[5]} to {NAMES[6]}"


def test_what_cannot_be_told_leaves_a_range():
    def dies(count):
        if count < 10:
            raise TimeoutError
        return True

    assert fatal_layer(NAMES, dies, 60.0) == ""
    assert fatal_layer(NAMES[:1], dies, 60.0) == ""


@pytest.mark.posix
def test_only_faults_of_native_code_are_looked_for():
    assert died_of_a_fault(-signal.SIGSEGV)
    assert died_of_a_fault(-signal.SIGABRT)
    assert not any(map(died_of_a_fault, (-signal.SIGKILL, -signal.SIGTERM, 0, 1, None)))


def test_an_exception_of_windows_is_a_fault():
    assert died_of_a_fault(0xC0000005)
