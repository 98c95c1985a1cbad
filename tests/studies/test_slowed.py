import numpy as np
import onnx


def test_extra_work_does_not_change_the_image(study, tmp_path, bundles):
    from pocketvae.runtimes.opening import open_runner
    from pocketvae.spec import Format

    path = bundles.make_bundle(tmp_path / "b") / "decoder.float32.onnx"
    slow = tmp_path / "slow.onnx"
    slow.write_bytes(study("slowed").with_extra_work(path, 64))
    before, after = (onnx.load(file).graph for file in (path, slow))
    added = [node.op_type for node in after.node[: len(after.node) - len(before.node)]]
    assert added == ["Gemm", "Gemm"]
    assert sum(len(item.raw_data) for item in after.initializer[len(before.initializer) :]) == 2 * 3 * 64 * 4
    z = {"z": np.random.default_rng(0).standard_normal((1, 3)).astype(np.float32)}
    with open_runner(path, Format.ONNX) as right, open_runner(slow, Format.ONNX) as slowed:
        assert np.array_equal(right.run(z)["image"], slowed.run(z)["image"])
