"""The standard metadata of TFLite files, `TFLITE_METADATA`, which Android Studio and the task libraries read.

A FlatBuffer of the schema metadata_schema.fbs of tensorflow/tflite-support, file identifier M001. Field numbers below
are positions in its tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pocketvae.bundle.embedded import EmbeddedRecord, TensorDoc
from pocketvae.vae_spec import DataKind
from pocketvae.version import VERSION

if TYPE_CHECKING:
    from flatbuffers import Builder

NAME = "TFLITE_METADATA"
_IDENTIFIER = b"M001"
_OLDEST_PARSER = "1.0.0"
_IMAGE_PROPERTIES, _FEATURE_PROPERTIES, _NORMALIZATION = 2, 1, 1
_RGB, _GREY = 1, 2


def model_metadata(record: EmbeddedRecord, inputs: Sequence[TensorDoc], outputs: Sequence[TensorDoc]) -> bytes:
    """Returns the metadata.

    Args:
        record: The metadata record of the file.
        inputs: Inputs in the order of the file's own list, as the standard requires.
        outputs: Outputs, likewise.
    """
    import flatbuffers

    builder = flatbuffers.Builder(4096)
    description = f"The {record.component} of a variational autoencoder, {record.precision}"
    subgraph = _table(
        builder,
        {
            0: builder.CreateString(str(record.component)),
            2: _vector(builder, [_tensor(builder, item, record) for item in inputs]),
            3: _vector(builder, [_tensor(builder, item, record) for item in outputs]),
        },
    )
    fields = {
        0: builder.CreateString(record.name),
        1: builder.CreateString(description),
        2: builder.CreateString(f"pocketvae {VERSION}"),
        3: _vector(builder, [subgraph]),
        7: builder.CreateString(_OLDEST_PARSER),
    }
    if record.author:
        fields[4] = builder.CreateString(record.author)
    if record.licence:
        fields[5] = builder.CreateString(record.licence)
    builder.Finish(_table(builder, fields), file_identifier=_IDENTIFIER)
    return bytes(builder.Output())


def _tensor(builder: Builder, item: TensorDoc, record: EmbeddedRecord) -> int:
    fields = {
        0: builder.CreateString(item.tensor.name),
        1: builder.CreateString(item.meaning),
        3: _content(builder, item, record),
    }
    if item.tensor.name == "x" and item.range is not None:
        low, high = item.range
        # The standard's reading of a pixel of 0 to 255 is (pixel - mean) / std.
        deviation = 255 / (high - low)
        fields[4] = _vector(builder, [_normalization(builder, -low * deviation, deviation)])
    if item.range is not None:
        low_high = [_floats(builder, [value]) for value in item.range]
        fields[5] = _table(builder, {0: low_high[1], 1: low_high[0]})
    return _table(builder, fields)


def _content(builder: Builder, item: TensorDoc, record: EmbeddedRecord) -> int:
    channels = record.vae.data_shape[-1]
    has_data = item.tensor.name in ("x", DataKind.IMAGE) and record.vae.data is DataKind.IMAGE
    if not has_data or len(item.tensor.shape) != 4 or channels not in (1, 3):
        properties, kind = _table(builder, {}), _FEATURE_PROPERTIES
    else:
        builder.StartObject(2)
        builder.PrependInt8Slot(0, _GREY if channels == 1 else _RGB, 0)
        properties, kind = builder.EndObject(), _IMAGE_PROPERTIES
    builder.StartObject(3)
    builder.PrependUint8Slot(0, kind, 0)
    builder.PrependUOffsetTRelativeSlot(1, properties, 0)
    content: int = builder.EndObject()
    return content


def _normalization(builder: Builder, mean: float, deviation: float) -> int:
    values = {0: _floats(builder, [mean]), 1: _floats(builder, [deviation])}
    options = _table(builder, values)
    builder.StartObject(2)
    builder.PrependUint8Slot(0, _NORMALIZATION, 0)
    builder.PrependUOffsetTRelativeSlot(1, options, 0)
    unit: int = builder.EndObject()
    return unit


def _table(builder: Builder, fields: dict[int, int]) -> int:
    builder.StartObject(max(fields, default=-1) + 1)
    for number, offset in sorted(fields.items()):
        builder.PrependUOffsetTRelativeSlot(number, offset, 0)
    table: int = builder.EndObject()
    return table


def _vector(builder: Builder, offsets: list[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    vector: int = builder.EndVector()
    return vector


def _floats(builder: Builder, values: list[float]) -> int:
    builder.StartVector(4, len(values), 4)
    for value in reversed(values):
        builder.PrependFloat32(value)
    vector: int = builder.EndVector()
    return vector
