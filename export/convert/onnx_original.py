"""The float32 artifact of an original that is an ONNX file: the file itself, with the interface of every artifact."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pocketvae.export.convert.onnx import name_parts, serialize
from pocketvae.export.convert.onnx_clip import fuse_clips
from pocketvae.formats.onnx.model import drop_dead, drop_unread_initializers
from pocketvae.keras.model_form import ModelForm, Role
from pocketvae.spec import Component
from pocketvae.vae_spec import Likelihood, VaeSpec

_PLAIN = (Role.IMAGE, Role.MORE, Role.MEAN, Role.LOG_VAR, Role.SAMPLE, Role.OTHER)


def float32_of(component: Component, model: Any, vae: VaeSpec) -> bytes | None:
    """Returns the original's own graph for batch size 1, with the names and the head of the artifact.

    Returns:
        None if the original is not an ONNX file, or takes a label, or a latent or spread has to be converted: then its
        artifact is made from the same graph in TensorFlow.
    """
    found = getattr(model, "onnx", None)
    if found is None or component not in (Component.ENCODER, Component.DECODER):
        return None
    original, form = found
    takes_others = any(port.role not in (Role.X, Role.Z) for port in form.inputs)
    if takes_others or any(port.role not in _PLAIN or port.is_scaled for port in (*form.outputs, *form.inputs)):
        return None
    import onnx

    changed = onnx.ModelProto()
    changed.CopyFrom(original.proto)
    _name_interface(changed.graph, component, form, vae)
    if component is Component.DECODER and vae.likelihood is Likelihood.BERNOULLI:
        _append_sigmoid(changed.graph, vae.output)
    for value in (*changed.graph.input, *changed.graph.output):
        value.type.tensor_type.shape.dim[0].Clear()
        value.type.tensor_type.shape.dim[0].dim_value = 1
    fuse_clips(changed)
    drop_unread_initializers(changed.graph)
    name_parts(changed.graph)
    changed.producer_name, changed.producer_version = "pocketvae", ""
    onnx.checker.check_model(changed, full_check=True)
    # What runs on which accelerator depends on the sizes of inner tensors.
    return serialize(onnx.shape_inference.infer_shapes(changed))


def _name_interface(graph: Any, component: Component, form: ModelForm, vae: VaeSpec) -> None:
    """Renames inputs and outputs, and drops outputs that are not exported with what only they need."""
    taken = [spec.name for spec in vae.inputs(component)]
    inputs = {port.name: taken[port.made_of[0]] for port in form.inputs}
    kept = [form.outputs[index].name for index in form.kept_outputs()]
    outputs = dict(zip(kept, vae.output_names(component), strict=True))
    by_name = {output.name: output for output in graph.output}
    chosen = [type(by_name[name]).FromString(by_name[name].SerializeToString()) for name in kept]
    del graph.output[:]
    graph.output.extend(chosen)
    drop_dead(graph)
    # Inner tensors that have one of the house's names make way.
    names = {name: f"{name}_inside" for name in (*taken, *outputs.values())}
    rename(graph, names)
    rename(graph, {names.get(old, old): new for old, new in inputs.items()})
    rename(graph, {names.get(old, old): new for old, new in outputs.items()})


def rename(graph: Any, names: Mapping[str, str]) -> None:
    """Renames tensors of a graph, in place."""
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for part in (*graph.input, *graph.output, *graph.initializer, *graph.value_info):
        part.name = names.get(part.name, part.name)


def _append_sigmoid(graph: Any, output: str) -> None:
    from onnx import helper

    logits = f"{output}_logits"
    for node in graph.node:
        node.input[:] = [logits if name == output else name for name in node.input]
        node.output[:] = [logits if name == output else name for name in node.output]
    graph.node.append(helper.make_node("Sigmoid", [logits], [output], "head/Sigmoid"))
