"""The files of decoder_latency.py: `python studies/latency_files.py FOLDER NAME,...` writes them.

For each decoder: its weights, its latents and image, a Keras model, the stock conversions to TFLite and ONNX, and a
bundle of `pocketvae export`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from latency_decoders import BASE, CHANNELS, DEPTH_TO_SPACE, LATENT, RESIZE, SIDE, make_weights, reference_image

from pocketvae.export import ExportConfig, ExternalModels, export_external_models, plan_artifacts
from pocketvae.keras.io import import_keras, import_tensorflow
from pocketvae.spec import Component, Precision

_TIME_LIMIT_S = 3600.0


def keras_model(name: str, weights: dict[str, Any]) -> Any:
    """Returns a decoder as a Keras model."""
    layers = import_keras().layers
    z = layers.Input((LATENT,), name="z")
    x = layers.Reshape((SIDE, SIDE, BASE))(layers.Dense(SIDE * SIDE * BASE, activation="relu", name="dense")(z))
    side = SIDE
    for index, channels in enumerate(CHANNELS):
        options = {"padding": "same", "activation": "relu", "name": f"stage{index}"}
        size = weights[f"stage{index}"].shape[0]
        if name == DEPTH_TO_SPACE:
            x = layers.Conv2D(4 * channels, size, **options)(x)
            x = layers.Permute((1, 3, 2, 4, 5))(layers.Reshape((side, side, 2, 2, channels))(x))
            x = layers.Reshape((2 * side, 2 * side, channels))(x)
        elif name == RESIZE:
            x = layers.Conv2D(channels, size, **options)(layers.UpSampling2D(2)(x))
        else:
            x = layers.Conv2DTranspose(channels, size, strides=2, **options)(x)
        side *= 2
    model = import_keras().Model(z, layers.Conv2D(1, 3, padding="same", activation="sigmoid", name="last")(x))
    for key in ("dense", "stage0", "stage1", "last"):
        kernel, layer = weights[key], model.get_layer(key)
        # Keras keeps the kernel of a transposed convolution with its output channels first.
        kernel = kernel.transpose(0, 1, 3, 2) if isinstance(layer, layers.Conv2DTranspose) else kernel
        layer.set_weights([kernel, weights[f"{key}_bias"]])
    return model


def write(folder: Path, name: str) -> None:
    """Writes all files of one decoder into a folder of its own."""
    tf = import_tensorflow()
    home = folder / name
    home.mkdir()
    weights = make_weights(name)
    z = np.random.default_rng(1).normal(size=(1, LATENT)).astype(np.float32)
    np.savez(home / "weights.npz", z=z, image=reference_image(name, weights, z), **weights)
    model = keras_model(name, weights)
    signature = [tf.TensorSpec((1, LATENT), name="z")]
    function = tf.function(lambda z: {"image": model(z, training=False)}, input_signature=signature)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()], model)
    write_conversions(home, model, function, converter)


def write_conversions(home: Path, model: Any, function: Any, converter: Any) -> None:
    """Writes a decoder as its Keras model, its stock conversions and a bundle of float32 artifacts.

    Args:
        home: The decoder's folder.
        model: The Keras model.
        function: It as a function of TensorFlow, of one latent.
        converter: It as LiteRT's converter takes it.
    """
    import tf2onnx

    model.save(home / "decoder.keras")
    (home / "stock.tflite").write_bytes(converter.convert())
    tf2onnx.convert.from_function(function, function.input_signature, opset=17, output_path=str(home / "stock.onnx"))
    artifacts = plan_artifacts([Component.DECODER], None, [Precision.FLOAT32])
    config = ExportConfig(artifacts=artifacts, time_limit_s=_TIME_LIMIT_S)
    export_external_models(ExternalModels(decoder=home / "decoder.keras"), home / "bundle", config)


def write_all(words: Sequence[str], write: Callable[[Path, str], None]) -> int:
    """Writes the files of the decoders that a command line names, after the folder."""
    folder, names = words
    for name in names.split(","):
        write(Path(folder), name)
    return 0


if __name__ == "__main__":
    sys.exit(write_all(sys.argv[1:], write))
