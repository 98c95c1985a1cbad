"""Whether user-supplied models have to be prepared before they are inspected; decided without TensorFlow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pocketvae.errors import ExportError
from pocketvae.export.external.messages import ExternalModels
from pocketvae.keras.architecture import is_graph, is_sequence, layers_of, rewritten
from pocketvae.keras.files import ModelKind, read_header
from pocketvae.keras.saved_model import may_draw

_IMAGE_RANK = 4
_PREPROCESSING = frozenset({"Rescaling", "Resizing", "Normalization", "CenterCrop"})


def needs_preparation(models: ExternalModels) -> bool:
    """Whether a model has custom layers, other types than float32, a fixed batch, or is more than its component."""
    named = models.latent_layer or models.decoder_part or models.decoder_code or models.encoder_code
    # What only ONNX files have is refused for others there.
    if named or models.encoder == models.decoder or models.data_format is not None:
        return True
    if _needs(models.decoder, is_decoder=True):
        return True
    return models.encoder is not None and (_needs(models.encoder, is_decoder=False) or _take_several(models))


def _take_several(models: ExternalModels) -> bool:
    """Whether encoder and decoder both take several inputs, of which the encoder's may be the decoder's latents."""
    return all(len(list(_input_shapes(read_header(path).config))) > 1 for path in models.paths.values())


def _needs(path: Path, *, is_decoder: bool) -> bool:
    try:
        header = read_header(path)
        if header.kind is ModelKind.SAVED_MODEL:
            return not is_decoder and may_draw(path)
        if header.kind is ModelKind.ONNX:
            return True
        architecture = rewritten(header.config, header.flavours[0])
        changed = architecture.holes or architecture.dtypes or architecture.quantized or architecture.unknown
        if changed or architecture.batch is not None or '"channels_first"' in json.dumps(header.config):
            return True
        return _takes_images(header.config) if is_decoder else _is_more_than_encoder(header.config)
    except ExportError:
        return False  # The inspection says what is wrong with it.
    except (RecursionError, KeyError, TypeError, ValueError, AttributeError):
        return True  # The preparation does.


def _takes_images(config: Any) -> bool:
    return any(len(shape) >= _IMAGE_RANK for shape in _input_shapes(config))


def _is_more_than_encoder(config: Any) -> bool:
    layers = layers_of(config)
    return (
        any(is_graph(layer) or is_sequence(layer) for layer in layers)
        or any(layer.get("class_name") in _PREPROCESSING for layer in layers)
        or any(None in shape[1:] for shape in _input_shapes(config))
    )


def _input_shapes(config: Any) -> Iterator[list[int | None]]:
    for layer in layers_of(config) if is_graph(config) or is_sequence(config) else ():
        inside = layer.get("config")
        for key in ("batch_shape", "batch_input_shape"):
            shape = inside.get(key) if isinstance(inside, dict) else None
            if isinstance(shape, list):
                yield shape
