"""Encoders that are SavedModels, without their sampling: it may need a state that an export does not have."""

from __future__ import annotations

import itertools
from pathlib import Path

from pocketvae.export.external.saved_cut import aligned
from pocketvae.export.external.saved_functions import signature_of
from pocketvae.export.external.saved_graph import node_of
from pocketvae.export.external.saved_held import encoded, is_open
from pocketvae.keras.custom_code import CustomCode
from pocketvae.keras.loading import open_model
from pocketvae.keras.model_form import Role

Roles = tuple[Role, ...]


def without_sampling(
    file: Path, code: CustomCode, signature: str, stated: Roles | None, folder: Path
) -> tuple[Path, Roles | None] | None:
    """Writes an encoder that only returns what is not drawn, as a SavedModel.

    Args:
        file: The encoder.
        code: What of its code may run.
        signature: The one that is exported; empty for the only one.
        stated: The user's roles of its outputs; None if they are to be found.
        folder: Where it is written.

    Returns:
        Its path, and the roles of its outputs as far as they are known; None if nothing is drawn.

    Raises:
        ExportError: it cannot be loaded, or everything is drawn in an unknown way.
    """
    opened = open_model(file, code, signature)
    graph = signature_of(opened.model).graph()
    kept = [not is_open(graph, tensor) for tensor in graph.outputs.values()]
    if all(kept):
        return None
    outputs, shown = encoded(file, graph)
    roles = aligned(stated, shown)
    if stated is not None and shown is None and len(stated) == len(kept):
        # A signature has the order of its names.
        named = dict(zip(outputs, itertools.compress(stated, kept), strict=True))
        roles = tuple(named[name] for name in sorted(named))
    needed = graph.behind(list(outputs.values()))
    taken = {name: tensor for name, tensor in graph.inputs.items() if node_of(tensor) in needed}
    graph.write_part(folder / "encoder", taken, outputs)
    return folder / "encoder", roles
