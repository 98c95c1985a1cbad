import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from pocketvae.errors import SpecError
from pocketvae.keras.io import import_tensorflow
from pocketvae.system import environment
from pocketvae.train import TrainConfig, mixed_precision, train, with_overrides
from pocketvae.train.mixed_precision import bfloat16_products, check_bfloat16, check_devices, end_in_float32

CAN_MULTIPLY = {"amx_bf16", "avx512_bf16"}.intersection(environment.current_environment().cpu_features)


@pytest.fixture
def cpu(monkeypatch):
    """Replaces the instruction sets of this machine."""

    def have(*features):
        known = environment.current_environment()
        monkeypatch.setattr(mixed_precision, "current_environment", lambda: replace(known, cpu_features=features))

    return have


@pytest.mark.parametrize("feature", ["amx_bf16", "avx512_bf16"])
def test_one_of_two_instruction_sets_is_enough(cpu, monkeypatch, feature):
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    cpu("avx2", feature)
    check_bfloat16(True)


def test_a_cpu_without_them_is_told_before_anything_is_read(cpu, tmp_path):
    cpu("avx2", "avx512f")
    message = "bfloat16 = true needs a CPU with amx_bf16 or avx512_bf16"
    with pytest.raises(SpecError, match=message):
        check_bfloat16(True)
    check_bfloat16(False)
    config = with_overrides(TrainConfig(), {"bfloat16": True, "onednn": True})
    with pytest.raises(SpecError, match=message):
        train(source=str(tmp_path / "no.npz"), out=tmp_path / "run", config=config, preset="x")
    assert list(tmp_path.iterdir()) == []


def test_the_environment_must_not_switch_onednn_off(cpu, monkeypatch):
    cpu("avx512_bf16")
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    with pytest.raises(SpecError, match="TF_ENABLE_ONEDNN_OPTS=0 switches it off"):
        check_bfloat16(True)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"bfloat16": True}, "bfloat16 must be false without onednn = true, got true"),
        ({"bfloat16": True, "onednn": True, "jit_compile": True}, "bfloat16 has no effect with jit_compile = true"),
    ],
)
def test_combinations_without_effect_are_refused(values, message):
    with pytest.raises(SpecError, match=message):
        with_overrides(TrainConfig(), values)


def test_a_gpu_would_not_notice(monkeypatch):
    devices = {"GPU": []}
    monkeypatch.setattr(import_tensorflow().config, "list_logical_devices", devices.get)
    check_devices(True)
    devices["GPU"] = ["a GPU"]
    check_devices(False)
    with pytest.raises(SpecError, match="bfloat16 has no effect on a GPU"):
        check_devices(True)


def test_outputs_end_in_float32_with_their_values_and_gradients():
    tf = import_tensorflow()
    pair = [tf.constant([1.1, -3e38]), tf.constant([[2.5e-30]])]
    with tf.GradientTape() as tape:
        tape.watch(pair)
        ended = end_in_float32(pair)
        total = tf.add_n([tf.reduce_sum(3.0 * output) for output in ended])
    for output, given, gradient in zip(ended, pair, tape.gradient(total, pair), strict=True):
        assert output.dtype == tf.float32
        np.testing.assert_array_equal(output, given)
        np.testing.assert_array_equal(gradient, np.full(given.shape, 3.0, np.float32))


def test_the_option_ends_with_the_block():
    options = import_tensorflow().config.optimizer.get_experimental_options
    with bfloat16_products(True):
        assert options()["auto_mixed_precision_onednn_bfloat16"] is True
    assert options()["auto_mixed_precision_onednn_bfloat16"] is False
    with pytest.raises(RuntimeError), bfloat16_products(True):
        raise RuntimeError
    assert options()["auto_mixed_precision_onednn_bfloat16"] is False


def test_only_steps_have_rounded_products(monkeypatch, tmp_path):
    """A process of its own: whether oneDNN is on is decided when TensorFlow is imported."""
    if not CAN_MULTIPLY:
        pytest.skip("this CPU has no instructions for bfloat16")
    program = """
from pocketvae.keras.io import start_tensorflow
tf = start_tensorflow(onednn=True, threads=1)
from pocketvae.train.mixed_precision import bfloat16_products, end_in_float32
x = tf.random.stateless_normal([64, 256], [0, 1])
w = tf.Variable(tf.random.stateless_normal([256, 256], [0, 2]))
multiply = tf.function(lambda x: tf.matmul(tf.nn.relu(tf.matmul(x, w)), w))
total = tf.function(lambda x: tf.reduce_sum(tf.square(end_in_float32(tf.matmul(x, w))), axis=1))
before = multiply(x).numpy()
with bfloat16_products(True):
    inside = multiply(x).numpy()
    assert inside.dtype == "float32" and w.dtype == tf.float32
    totals = total(x).numpy()
after = multiply(x).numpy()
import sys, numpy as np
np.savez(sys.argv[1], before=before, inside=inside, after=after, totals=totals)
"""
    out = tmp_path / "products.npz"
    # The other tests of this process may have chosen to do without.
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    subprocess.run([sys.executable, "-c", program, str(out)], check=True, timeout=300)
    products = np.load(out)
    np.testing.assert_array_equal(products["before"], products["after"])
    error = np.abs(products["inside"] - products["before"]).max() / np.abs(products["before"]).max()
    assert 1e-4 < error < 2e-2
    # Numbers of bfloat16 have 8 binary digits: what follows the product has more.
    assert np.any(products["totals"].view(np.uint32) & 0xFFFF)
    assert not np.any(products["inside"].view(np.uint32) & 0xFFFF)
