"""Whole VAEs that are SavedModels: their signature is cut where it draws, else the parts that they hold are taken."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from pocketvae.errors import ExportError
from pocketvae.export.external.messages import ExternalModels, Preparation
from pocketvae.export.external.moments import LOST_PRIOR
from pocketvae.export.external.saved_cut import aligned, cut_saved
from pocketvae.export.external.saved_functions import SavedFunction, functions_of, signature_of
from pocketvae.export.external.saved_held import held_parts
from pocketvae.keras.io import load_saved_model
from pocketvae.spec import Component
from pocketvae.system.files import sha256_path


def prepare_saved(models: ExternalModels, folder: Path) -> Preparation:
    """Writes encoder and decoder of a whole VAE that is a SavedModel, as SavedModels.

    Raises:
        ExportError: it cannot be loaded, or its parts are not found.
        TargetError: TensorFlow is not installed.
    """
    file = models.decoder
    if models.latent_layer or models.decoder_part:
        raise ExportError("--latent-layer and --decoder-part are for files of Keras, whose layers have names")
    loaded = load_saved_model(file, models.code)
    whole = _whole(loaded)
    graph = whole.graph() if whole is not None else None
    found = None if graph is None else cut_saved(file, graph, folder)
    found = found or held_parts(file, loaded, graph, folder)
    roles = aligned(models.encoder_outputs, found.roles)
    facts = {
        f"{component} {key}": value
        for component in (Component.ENCODER, Component.DECODER)
        for key, value in {
            "source": file.name,
            "source sha256": sha256_path(file),
            "taken from it": f"the {component} in it, {found.how}",
        }.items()
    }
    return Preparation(
        models=replace(
            models, decoder=found.folder / "decoder", encoder=found.folder / "encoder", encoder_outputs=roles
        ),
        facts={**facts, **({"posterior": found.notes[0]} if found.notes else {})},
        found=(f"{file.name}: {found.picture}", *(f"{file.name}: {note}" for note in found.notes)),
        doubts=(LOST_PRIOR,) if found.several and found.notes else (),
    )


def _whole(loaded: Any) -> SavedFunction | None:
    """Returns the function of a SavedModel that returns data like what it takes; None if there is none."""
    signatures = dict(loaded.signatures)
    named = signatures.get("serving_default") or (next(iter(signatures.values())) if len(signatures) == 1 else None)
    functions = [signature_of(named)] if named is not None else list(functions_of("", loaded))
    return next((item for item in functions if item.taken in item.returned), None)
