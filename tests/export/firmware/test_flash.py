"""Files without what a microcontroller does not read."""

import numpy as np

from pocketvae.export.firmware.flash import for_flash
from pocketvae.formats.tflite.model import read_model, tensor_name
from pocketvae.formats.tflite.operators import read_operators
from pocketvae.runtimes.base import Optimizations
from pocketvae.runtimes.litert import LiteRtRunner


def test_it_is_smaller_and_has_the_same_operators(tiny_bundle):
    content = (tiny_bundle / "encoder.int8_io.tflite").read_bytes()
    slim = for_flash(content)
    assert read_operators(slim) == read_operators(content)
    model = read_model(slim)
    assert not model.metadata
    assert not model.signatureDefs
    # Golden pairs alone are more than that.
    assert len(slim) < len(content) - 4096
    named = for_flash(content, keep_names=True)
    assert len(slim) < len(named) < len(content)
    assert tensor_name(read_model(named).subgraphs[0].tensors[0])


def test_it_computes_the_same(tmp_path, bundles, tflite_models):
    content = tflite_models.decoder(bundles.right_weight(), bundles.SIDE)
    z = np.random.default_rng(0).normal(size=(2, bundles.LATENT)).astype(np.float32)
    found = []
    for name, file in (("whole", content), ("named", for_flash(content, keep_names=True))):
        path = tmp_path / f"{name}.tflite"
        path.write_bytes(file)
        with LiteRtRunner(path, num_threads=1, optimizations=Optimizations.OFF) as runner:
            found.append(next(iter(runner.run_samples({next(iter(runner.inputs)): z}, (0.0, 1.0)).values())))
    assert np.array_equal(*found)
