"""Training steps whose products are bfloat16: half the time of a convolution where a CPU has instructions for them.

TensorFlow's graph optimizer casts the operands of convolutions and matrix products, and what follows them, to bfloat16
when it compiles a step. Weights, losses and the optimizer stay float32, and so does the graph that is saved: nothing of
the model knows of it (mixed precision, Micikevicius et al. 2018; bfloat16 has the exponents of float32, so no loss has
to be scaled).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from pocketvae.errors import SpecError
from pocketvae.keras.io import import_tensorflow
from pocketvae.system.environment import current_environment

# oneDNN computes bfloat16 with AVX-512 alone too, in float32 and slower than float32 itself.
_INSTRUCTIONS = ("amx_bf16", "avx512_bf16")
_OPTION = "auto_mixed_precision_onednn_bfloat16"


def check_bfloat16(wanted: bool) -> None:
    """Checks that this machine multiplies bfloat16 numbers where that is wanted.

    Raises:
        SpecError: its CPU has no instructions for it, or the environment switches oneDNN off.
    """
    if not wanted:
        return
    if not set(_INSTRUCTIONS).intersection(current_environment().cpu_features):
        raise SpecError(
            f"bfloat16 = true needs a CPU with {' or '.join(_INSTRUCTIONS)} under Linux, and this one has neither: "
            "train without it"
        )
    if os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1") == "0":
        raise SpecError("bfloat16 = true needs oneDNN, and TF_ENABLE_ONEDNN_OPTS=0 switches it off")


def check_devices(wanted: bool) -> None:
    """Checks that training steps run on the CPU where bfloat16 is wanted.

    Raises:
        SpecError: they would run on a GPU, where the CPU's products change nothing.
    """
    if wanted and import_tensorflow().config.list_logical_devices("GPU"):
        raise SpecError("bfloat16 has no effect on a GPU: set bfloat16 = false, or hide the GPU from TensorFlow")


@contextlib.contextmanager
def bfloat16_products(wanted: bool) -> Iterator[None]:
    """Lets functions that are called in the block multiply in bfloat16; does nothing unless wanted.

    A `tf.function` is compiled for each of both ways in which it is called, so an evaluation outside of the block
    stays float32.
    """
    if not wanted:
        yield
        return
    optimizer = import_tensorflow().config.optimizer
    optimizer.set_experimental_options({_OPTION: True})
    try:
        yield
    finally:
        optimizer.set_experimental_options({_OPTION: False})


def end_in_float32(outputs: Any) -> Any:
    """Returns a network's outputs, a tensor or several, such that what follows is computed in float32.

    The optimizer would go on in bfloat16 up to the log-likelihood of an item, a number in the hundreds that it would
    round to whole nats. It does not go past float64, and the two casts change no value.
    """
    tf = import_tensorflow()
    return tf.nest.map_structure(lambda output: tf.cast(tf.cast(output, tf.float64), tf.float32), outputs)
