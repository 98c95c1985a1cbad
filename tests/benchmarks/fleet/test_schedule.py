"""Many devices, a few at a time: a fleet of forty that are not there."""

import threading
import time

import pytest

from pocketvae.benchmarks.execution.target import THIS_MACHINE
from pocketvae.benchmarks.fleet import schedule
from pocketvae.benchmarks.fleet.schedule import run_devices
from pocketvae.errors import DataError
from pocketvae.progress import ignore_progress

FORTY = {f"d{number:02d}": {"model": "m", "site": f"s{number % 2}"} for number in range(40)}


class Work:
    """Notes who works at the same time; nobody ends before so many as `meet` were at work together."""

    def __init__(self, *, meet=1):
        self.meet, self.met, self.lock = meet, threading.Event(), threading.Lock()
        self.now, self.together, self.order = [], [], []

    def __call__(self, device, target, deadline, step):
        with self.lock:
            self.now.append(device.name)
            self.order.append(device.name)
            self.together.append(tuple(self.now))
            if len(self.now) >= self.meet:
                self.met.set()
        # A machine that is slow to start threads must not end the first before the last begins.
        self.met.wait(60)
        time.sleep(0.002)
        with self.lock:
            self.now.remove(device.name)
        return device.name


def test_all_of_forty_are_done_and_no_more_than_allowed_at_a_time(fleet_of, devices):
    work, steps = Work(meet=6), []
    with devices.simulated({}):
        fleet = fleet_of(FORTY, at_once=8, at_once_per={"site": 3})
        finished = run_devices(fleet, work, steps.append, this_machine_alone=True)
    assert {name: ended.result for name, ended in finished.by_device.items()} == {name: name for name in FORTY}
    assert max(map(len, work.together)) == 6
    for names in work.together:
        for site in ("s0", "s1"):
            assert sum(FORTY[name]["site"] == site for name in names) <= 3
    assert [step.done for step in steps][-1] == steps[-1].total == 40


def test_devices_of_one_machine_take_turns(fleet_of, devices):
    work, machines = Work(meet=2), {"a": "x", "b": "x", "c": "y", "d": "x"}
    behaviours = {name: devices.Behaviour(machine=machine) for name, machine in machines.items()}
    with devices.simulated(behaviours):
        run_devices(fleet_of({name: {} for name in machines}), work, ignore_progress, this_machine_alone=False)
    assert all(len({machines[name] for name in names}) == len(names) for names in work.together)
    assert max(map(len, work.together)) == 2


def test_this_machine_comes_last_and_alone_where_it_has_to(fleet_of, devices):
    work, here = Work(), devices.Behaviour(machine=THIS_MACHINE)
    with devices.simulated({"a": here, "c": here}):
        run_devices(fleet_of({name: {} for name in "abcd"}), work, ignore_progress, this_machine_alone=True)
    assert sorted(work.order[:2]) == ["b", "d"]
    assert work.order[2:] == ["a", "c"]
    assert work.together[2:] == [("a",), ("c",)]


@pytest.mark.parametrize(
    ("error", "said"), [(DataError("no data"), "no data"), (KeyError("x"), "KeyError: 'x'"), (SystemExit(3), "3")]
)
def test_an_error_costs_its_device_alone(fleet_of, devices, error, said):
    def work(device, target, deadline, step):
        if device.name == "b":
            raise error
        return device.name

    with devices.simulated({}):
        found = run_devices(fleet_of({name: {} for name in "abc"}), work, ignore_progress, this_machine_alone=False)
    assert [found.by_device[name].result for name in "abc"] == ["a", None, "c"]
    assert said in found.by_device["b"].problem


class Hanging:
    """Work of which one device never answers, so that it is given up at once, and the others never are."""

    def __init__(self, monkeypatch, name):
        self.name, self.never, self.patch, self.done = name, threading.Event(), monkeypatch, []
        monkeypatch.setattr(schedule, "_LOOK_S", 0.02)
        # All that waits for the device that hangs waits as long as the test allows.
        monkeypatch.setattr(schedule, "_PATIENCE_S", 60.0)

    def __call__(self, device, target, deadline, step):
        if device.name == self.name:
            self.patch.setattr(schedule, "_GRACE_S", -1e6)
            self.never.wait(60)
        self.done.append(device.name)
        return device.name

    def progress(self, progress):
        if progress.detail == f"{self.name} ended":
            self.patch.setattr(schedule, "_GRACE_S", 60.0)

    def run(self, fleet, **options):
        try:
            return run_devices(fleet, self, self.progress, this_machine_alone=False, **options)
        finally:
            self.never.set()


def test_one_that_never_answers_is_given_up_and_blocks_nobody(fleet_of, devices, monkeypatch):
    work = Hanging(monkeypatch, "b")
    with devices.simulated({}):
        found = work.run(fleet_of({name: {} for name in "abc"}, at_once=1))
    assert [found.by_device[name].result for name in "abc"] == ["a", None, "c"]
    assert found.by_device["b"].problem == "it did not answer within its time limit of 1800 s"


def test_what_one_that_is_given_up_has_done_is_kept(fleet_of, devices, monkeypatch):
    work = Hanging(monkeypatch, "a")
    with devices.simulated({}):
        found = work.run(fleet_of({"a": {}}), so_far=lambda name, problem: f"a part of {name}: {problem}")
    problem = "it did not answer within its time limit of 1800 s"
    assert (found.by_device["a"].result, found.by_device["a"].problem) == (f"a part of a: {problem}", problem)


def test_one_that_is_given_up_keeps_its_machine(fleet_of, devices, monkeypatch):
    work = Hanging(monkeypatch, "a")
    monkeypatch.setattr(schedule, "_PATIENCE_S", 0.0)
    behaviours = {name: devices.Behaviour(machine=machine) for name, machine in (("a", "x"), ("b", "x"), ("c", "y"))}
    with devices.simulated(behaviours):
        found = work.run(fleet_of({name: {} for name in "abc"}))
    assert [found.by_device[name].result for name in "abc"] == [None, None, "c"]
    assert found.by_device["b"].problem == "it had to wait for a, given up and still at work"
    assert "b" not in work.done


def test_one_that_is_given_up_keeps_its_place_of_a_label(fleet_of, devices, monkeypatch):
    work = Hanging(monkeypatch, "a")
    monkeypatch.setattr(schedule, "_PATIENCE_S", 0.0)
    with devices.simulated({}):
        found = work.run(fleet_of({name: {"hub": "h"} for name in "ab"}, at_once_per={"hub": 1}))
    assert found.by_device["b"].problem == "it had to wait for a, given up and still at work"


def test_its_machine_is_free_once_it_ends_after_all(fleet_of, devices, monkeypatch):
    work = Hanging(monkeypatch, "a")
    given_up = work.progress

    def let_it_end(progress):
        given_up(progress)
        if progress.detail == "a ended":
            work.never.set()

    work.progress = let_it_end
    behaviours = {name: devices.Behaviour(machine="x") for name in "ab"}
    with devices.simulated(behaviours):
        found = work.run(fleet_of({name: {} for name in "ab"}))
    assert [found.by_device[name].result for name in "ab"] == [None, "b"]
    assert work.done == ["a", "b"]


def test_what_was_done_before_an_error_is_kept(fleet_of, devices):
    def work(device, target, deadline, step):
        raise DataError("no data")

    with devices.simulated({}):
        found = run_devices(
            fleet_of({"a": {}}), work, ignore_progress, this_machine_alone=False, so_far=lambda name, problem: "a part"
        )
    assert (found.by_device["a"].result, found.by_device["a"].problem) == ("a part", "no data")


def test_an_interruption_keeps_what_was_done(fleet_of, devices, monkeypatch):
    monkeypatch.setattr(schedule, "_UNWIND_S", 0.5)
    release = threading.Event()

    def work(device, target, deadline, step):
        while device.name == "b" and not deadline.is_over:
            time.sleep(0.005)
        if device.name == "c":
            release.wait(60)
        return f"{device.name}, {deadline.reason}" if device.name == "b" else device.name

    def interrupt(progress):
        if progress.done == 1:
            raise KeyboardInterrupt

    with devices.simulated({}):
        fleet = fleet_of({name: {} for name in "abcd"}, at_once=3)
        found = run_devices(fleet, work, interrupt, this_machine_alone=False)
    assert isinstance(found.interruption, KeyboardInterrupt)
    # The second ends its call, the third does not.
    assert [found.by_device[name].result for name in "abcd"] == ["a", "b, interrupted", None, None]
    assert [found.by_device[name].problem for name in "cd"] == ["interrupted", "interrupted before it began"]
    release.set()
