"""What LiteRT's GPU accelerator says of a file; the accelerator itself is in tests/end_to_end/test_edge_targets.py."""

import dataclasses

import numpy as np
import pytest

from pocketvae.benchmarks.remote import graphics
from pocketvae.benchmarks.remote.messages import Job
from pocketvae.errors import TargetError
from pocketvae.runtimes.base import Optimizations
from pocketvae.runtimes.litert import LiteRtRunner
from pocketvae.spec import Format, Precision


def test_the_very_bits_of_the_cpu_did_not_come_from_a_gpu(tmp_path, tflite_models):
    path = tmp_path / "decoder.tflite"
    path.write_bytes(tflite_models.decoder(np.linspace(-1, 1, 32).reshape(2, 16).astype(np.float32), 4))
    inputs = {"z": np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)}
    with LiteRtRunner(path, num_threads=1, optimizations=Optimizations.ON) as runner:
        outputs = runner.run_samples(inputs)
    job = Job(
        artifact=path.name,
        location=path.name,
        format=Format.TFLITE,
        precision=Precision.FLOAT32,
        inputs=(),
        outputs=(),
        image_range=(0.0, 1.0),
    )
    with pytest.raises(TargetError, match="exactly the bits of the CPU's, so it did not run on the GPU"):
        graphics._deviation(path, job, inputs, outputs)
    quantized = dataclasses.replace(job, precision=Precision.INT8)
    assert graphics._deviation(path, quantized, inputs, outputs) == 0
    (name,) = outputs
    outputs[name][3] += np.float32(2e-7)
    assert graphics._deviation(path, job, inputs, outputs) == pytest.approx(2e-7, rel=0.3)
