import numpy as np

from pocketvae.runtimes.opening import open_runner
from pocketvae.spec import Format


def test_weights_in_4_bits_are_unpacked_to_15_levels_a_channel(study, bundles):
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(bundles.LATENT, bundles.SIDE**2)).astype(np.float32)
    content = study("four_bits").onnx_in_4_bits(bundles.decoder_model(weight).SerializeToString(), ("MatMul",), 0)
    with open_runner(content, Format.ONNX) as runner:
        image = runner.run({"z": np.eye(bundles.LATENT, dtype=np.float32)[:1]})["image"]
    logits = np.log(image / (1 - image)).reshape(-1)
    scale = np.abs(weight).max(axis=0) / 7
    np.testing.assert_allclose(logits, np.rint(weight[0] / scale) * scale, atol=1e-4)
