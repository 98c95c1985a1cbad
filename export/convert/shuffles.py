"""Exact rewrites of the Keras graph before conversion."""

from __future__ import annotations

from typing import Any

from pocketvae.keras.io import import_keras, import_tensorflow

_INTERLEAVE = (1, 3, 2, 4, 5)


def fuse_depth_to_space(model: Any) -> tuple[Any, int]:
    """Returns the model with every Reshape, Permute, Reshape that shuffles channels into space as one operator.

    Keras has no depth-to-space layer, so models express it with three standard ones. As one operator it does not need
    a six-dimensional transpose, which several runtimes and accelerators do not support. Values are only moved, so the
    result is bit-identical.

    Args:
        model: A functional Keras 2 model; others are returned as they are.

    Returns:
        The model, sharing no weights with the original, and how many places were fused.
    """
    keras = import_keras()
    shuffles = _find_shuffles(model)
    if not shuffles:
        return model, 0
    blocks = {permute.name: permute.input_shape[3] for _, permute, _ in shuffles}
    roles = {
        layer.name: role for triple in shuffles for layer, role in zip(triple, ("skip", "fuse", "skip"), strict=True)
    }

    def clone(layer: Any) -> Any:
        role = roles.get(layer.name)
        if role == "skip":
            return keras.layers.Activation("linear", name=layer.name)
        if role == "fuse":
            tf, block = import_tensorflow(), blocks[layer.name]
            return keras.layers.Lambda(lambda x: tf.nn.depth_to_space(x, block), name=layer.name)
        return layer.__class__.from_config(layer.get_config())

    fused = keras.models.clone_model(model, clone_function=clone)
    fused.set_weights(model.get_weights())
    return fused, len(shuffles)


def narrow_shuffles(model: Any) -> Any:
    """Returns the model with every such shuffle in five dimensions in place of six.

    The last two, a column of a block and the channels, stay together anyway. TensorFlow Lite Micro transposes no more
    than five, and there is no 16-bit depth-to-space that would do it in one operator.

    Args:
        model: A functional Keras 2 model; others are returned as they are.
    """
    layers = import_keras().layers
    replaced: dict[str, Any] = {}
    for split, interleave, _ in _find_shuffles(model):
        _, height, width, block, _, channels = split.output_shape
        replaced[split.name] = layers.Reshape((height, width, block, block * channels), name=split.name)
        replaced[interleave.name] = layers.Permute((1, 3, 2, 4), name=interleave.name)
    if not replaced:
        return model

    def clone(layer: Any) -> Any:
        return replaced.get(layer.name) or layer.__class__.from_config(layer.get_config())

    narrowed = import_keras().models.clone_model(model, clone_function=clone)
    narrowed.set_weights(model.get_weights())
    return narrowed


def _find_shuffles(model: Any) -> list[tuple[Any, Any, Any]]:
    """Returns (split, interleave, join) layers of every shuffle whose parts have no other consumer."""
    layers = import_keras().layers
    if not hasattr(model, "_nodes_by_depth"):
        return []
    found = []
    for permute in model.layers:
        if not isinstance(permute, layers.Permute) or tuple(permute.dims) != _INTERLEAVE:
            continue
        split, join = _only_producer(permute), _only_consumer(permute)
        if not isinstance(split, layers.Reshape) or not isinstance(join, layers.Reshape):
            continue
        if _only_consumer(split) is permute and _is_shuffle(split, join):
            found.append((split, permute, join))
    return found


def _is_shuffle(split: Any, join: Any) -> bool:
    # Reshape also joins other factorizations; only (H, W, B, B, C) from (H, W, B * B * C) is depth-to-space.
    if len(split.input_shape) != 4 or len(split.output_shape) != 6:
        return False
    _, height, width, depth = split.input_shape
    block = split.output_shape[3]
    expected = (None, height, width, block, block, depth // block**2)
    joined = (None, height * block, width * block, depth // block**2)
    return block > 1 and tuple(split.output_shape) == expected and tuple(join.output_shape) == joined


def _only_producer(layer: Any) -> Any:
    nodes = layer.inbound_nodes
    return nodes[0].inbound_layers if len(nodes) == 1 else None


def _only_consumer(layer: Any) -> Any:
    nodes = layer.outbound_nodes
    return nodes[0].outbound_layer if len(nodes) == 1 else None
