"""The graphs that are exported: fixed batch 1, stable names, the output head appended to the decoder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pocketvae.errors import ExportError
from pocketvae.export.rewrites import fuse_depth_to_space
from pocketvae.keras_io import import_tensorflow
from pocketvae.spec import Component, VaeSpec


@dataclass(frozen=True, kw_only=True)
class Graph:
    """One component ready for conversion.

    Attributes:
        function: A `tf.function` of one named input of batch 1 that returns a dict of named outputs.
        model: The Keras model inside, kept alive for the converter.
        input_name: `x` for an encoder, `z` for a decoder.
        input_shape: With the batch, `(1, ...)`.
        fused_shuffles: How many depth-to-space rewrites were made.
    """

    function: Any
    model: Any
    input_name: str
    input_shape: tuple[int, ...]
    fused_shuffles: int

    def signature(self) -> Any:
        """Returns the input's `tf.TensorSpec`."""
        tf = import_tensorflow()
        return tf.TensorSpec(self.input_shape, tf.float32, name=self.input_name)


def apply_component(component: Component, model: Any, value: Any) -> dict[str, Any]:
    """Runs a component with its output head: what every artifact has to reproduce.

    Args:
        component: Which part of the VAE `model` is.
        model: The Keras model; an encoder returns (z_mean, z_log_var), a decoder logits.
        value: `x [N, H, W, C]` or `z [N, D]`, float32.

    Returns:
        `z_mean`, `z_log_var [N, D]`, or `image [N, H, W, C]` in [0, 1].
    """
    if component is Component.ENCODER:
        z_mean, z_log_var = model(value, training=False)
        return {"z_mean": z_mean, "z_log_var": z_log_var}
    return {"image": import_tensorflow().sigmoid(model(value, training=False))}


def input_of(component: Component, vae: VaeSpec) -> tuple[str, tuple[int, ...]]:
    """Returns the component's input name and the shape of one sample."""
    return ("x", vae.image_shape) if component is Component.ENCODER else ("z", (vae.latent_dim,))


def check_interface(component: Component, model: Any, vae: VaeSpec) -> None:
    """Refuses a model whose interface is not the component's.

    Raises:
        ExportError: an input or output has another shape than the VAE's.
    """
    _, sample_shape = input_of(component, vae)
    expected_input = (None, *sample_shape)
    latent = (None, vae.latent_dim)
    expected_output: Any = [latent, latent] if component is Component.ENCODER else (None, *vae.image_shape)
    received = model.output_shape
    outputs = [tuple(shape) for shape in received] if isinstance(received, list) else tuple(received)
    if tuple(model.input_shape) != expected_input or outputs != expected_output:
        raise ExportError(
            f"the {component} must map {expected_input} to {expected_output}, got {model.input_shape} to {outputs}"
        )


def build_graph(component: Component, model: Any, vae: VaeSpec, *, fuse: bool = True) -> Graph:
    """Builds the graph of a component.

    Args:
        component: Which part of the VAE `model` is.
        model: The Keras model.
        vae: Gives the interface.
        fuse: Make depth-to-space one operator.
    """
    tf = import_tensorflow()
    name, sample_shape = input_of(component, vae)
    fused, count = fuse_depth_to_space(model) if fuse else (model, 0)
    shape = (1, *sample_shape)
    # The converters take the input's name from the argument's name, so it has to be written out.
    bodies: dict[str, Callable[[Any], dict[str, Any]]] = {
        "x": lambda x: apply_component(component, fused, x),
        "z": lambda z: apply_component(component, fused, z),
    }
    signature = [tf.TensorSpec(shape, tf.float32, name=name)]
    function = tf.function(bodies[name], input_signature=signature, autograph=False)
    return Graph(function=function, model=fused, input_name=name, input_shape=shape, fused_shuffles=count)
