"""The last step of making an artifact: the metadata that goes into the file."""

from __future__ import annotations

from dataclasses import replace

from pocketvae.bundle.manifest import FileRecord
from pocketvae.export.artifacts import Artifact
from pocketvae.export.budgets import of_few_samples
from pocketvae.export.embed.embedding import Statement, Unembedded, embed
from pocketvae.export.embed.goldens import Candidates
from pocketvae.export.original.composed import with_parts
from pocketvae.export.quantize.source import Source


def finish(artifact: Artifact, source: Source, statement: Statement) -> Artifact:
    """Returns the artifact as it goes into the bundle.

    Args:
        artifact: The artifact as converted.
        source: Of its component, with the kinds of goldens.
        statement: The metadata of every file of the export.
    """
    record = artifact.record
    limits = of_few_samples(record.tolerances)
    unembedded = Unembedded(
        content=artifact.content,
        record=record,
        vae=source.vae,
        tolerances=limits,
        sources=with_parts((record.component,), source.vae),
    )
    candidates = Candidates(
        inputs={spec.name: source.golden_inputs[spec.name] for spec in record.inputs},
        expected=source.golden_outputs,
        found=artifact.golden_outputs,
        strata=source.golden_strata,
        tolerances=limits,
        image_span=source.vae.range_span,
    )
    content = embed(unembedded, statement, candidates)
    return replace(artifact, content=content, record=replace(record, file=FileRecord.of(record.name, content)))
