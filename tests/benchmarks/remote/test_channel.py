"""What a target lacks, and what is wrong with an artifact, told apart; the program is in this process."""

import numpy as np
import pytest

from pocketvae.benchmarks.remote.channel import ChannelRun
from pocketvae.benchmarks.remote.runner import RemoteRunner
from pocketvae.bundle.bundle import open_bundle
from pocketvae.errors import ArtifactFault, TargetError
from pocketvae.processes.rpc import respond
from pocketvae.runtimes.base import Runner


class Here:
    """A channel to a program in this process."""

    def __init__(self, runner):
        self.runner = runner

    def ask(self, request, time_limit_s):
        return respond(self.runner.handlers(), request)

    def close(self):
        """There is nothing to close."""


class FullDisk(RemoteRunner):
    def open(self, path, job):
        raise OSError(28, "No space left on device", "/tmp/x")


class Refusing(RemoteRunner):
    """Its simulator takes the file and refuses the call."""

    def open(self, path, job):
        return Refuses(super().open(path, job))


class Refuses(Runner):
    def __init__(self, own):
        self.inputs, self.outputs, self.batch, self.batches = own.inputs, own.outputs, own.batch, own.batches
        self.runtime = ""
        own.close()

    def _invoke(self, feed):
        raise TargetError("the simulator does not run it")

    def close(self):
        """There is nothing to close."""


def first_item(bundle, artifact):
    """Returns the inputs of one item."""
    inputs = bundle.goldens(artifact.component).inputs_of(artifact)
    return {name: values[:1] for name, values in inputs.items()}


@pytest.fixture
def bundle(tmp_path, bundles):
    return open_bundle(bundles.make_bundle(tmp_path / "b"))


@pytest.fixture
def run_once(bundle):
    artifact = bundle.manifest.artifacts[0]

    def run(kind, **options):
        with ChannelRun("board", Here(kind(bundle.path)), bundle) as opened:
            return opened.run(artifact, first_item(bundle, artifact), **options)

    return run


@pytest.mark.parametrize(
    ("kind", "threads", "words"),
    [
        (RemoteRunner, 100_000, "board: threads must be at most"),
        (FullDisk, 1, "board: /tmp/x: No space left on device"),
        (Refusing, 1, "board: the simulator does not run it"),
    ],
)
def test_what_the_target_lacks_is_no_fault_of_the_artifact(kind, threads, words, run_once):
    with pytest.raises(TargetError, match=words):
        run_once(kind, num_threads=threads)


def test_a_batch_size_that_the_file_lacks_is_its_fault(run_once):
    assert np.isfinite(run_once(RemoteRunner)["image"]).all()
    with pytest.raises(ArtifactFault, match="the file supports batch sizes"):
        run_once(RemoteRunner, batch=7)


def test_what_the_system_refuses_here_costs_the_job_alone(bundle, monkeypatch):
    ask, refusals = Here.ask, [OSError(28, "No space left on device", "/tmp/y")]

    def refuse(self, request, time_limit_s):
        if request.method == "run" and refusals:
            raise refusals.pop()
        return ask(self, request, time_limit_s)

    monkeypatch.setattr(Here, "ask", refuse)
    refused, other = bundle.manifest.artifacts
    with ChannelRun("board", Here(RemoteRunner(bundle.path)), bundle) as opened:
        with pytest.raises(TargetError, match="board: /tmp/y: No space left on device"):
            opened.run(refused, first_item(bundle, refused))
        outputs = opened.run(other, first_item(bundle, other))
    assert set(outputs) == {"z_mean", "z_log_var"}
