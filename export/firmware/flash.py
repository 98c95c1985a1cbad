"""A TFLite file as flash needs it: without what TensorFlow Lite Micro never reads."""

from __future__ import annotations

from pocketvae.formats.tflite.model import read_model, write_model
from pocketvae.formats.tflite.subgraphs import keep_run_subgraphs
from pocketvae.formats.tflite.unread import without_unread

# Where a compiler has planned the arena; the interpreter follows it.
_READ_METADATA = "OfflineMemoryAllocation"


def for_flash(content: bytes, *, keep_names: bool = False) -> bytes:
    """Returns a file without metadata (golden pairs, manifest), signatures and names; it computes the same.

    Other batch sizes go too, each a subgraph of its own, of which the interpreter would plan the memory.

    Args:
        content: The file.
        keep_names: Keep the names of tensors, which a compiler's report has.

    Raises:
        ManifestError: the file is damaged.
    """
    model = read_model(content)
    entries = list(model.metadata or ())
    model.metadata = [entry for entry in entries if entry.name.decode() == _READ_METADATA] or None
    for entry in entries:
        if entry.name.decode() != _READ_METADATA:
            model.buffers[entry.buffer].data = None
    keep_run_subgraphs(model)
    model.signatureDefs = model.description = None
    for graph in model.subgraphs if not keep_names else ():
        graph.name = None
        for tensor in graph.tensors:
            tensor.name = None
    return without_unread(write_model(model))
