"""The last step of making an artifact: what it needs, where it runs, and the metadata that goes into the file."""

from __future__ import annotations

from pocketvae.export.artifacts import Artifact
from pocketvae.export.embed.embedding import Statement, Unembedded, embed
from pocketvae.export.embed.goldens import Candidates
from pocketvae.export.messages import Converted, ConvertJob
from pocketvae.export.original.composed import with_parts
from pocketvae.export.quantize.budgets import tolerances, with_pixel_rounding
from pocketvae.export.quantize.source import Source
from pocketvae.formats.layers import read_layers
from pocketvae.numerics.metrics import ELBO_CHANGE
from pocketvae.portability.lint import lint
from pocketvae.portability.requirements import oldest_runtime


def finish(job: ConvertJob, source: Source, artifact: Artifact, statement: Statement) -> tuple[bytes, Converted]:
    """Returns the file as it goes into the bundle, and what is recorded of it.

    Args:
        job: That made the artifact.
        source: Of its component.
        artifact: As it was converted.
        statement: What every file of the export says of itself.
    """
    format, span = job.artifact.format, source.vae.range_span
    # A lone file holds no images to take the ELBO of.
    limits = tuple(limit for limit in job.tolerances if limit.metric != ELBO_CHANGE)
    limits = with_pixel_rounding(job.artifact, limits, span)
    if job.artifact.precision.is_float:
        limits = tolerances(job.artifact, job.floor, span, artifact.kernel_spread)
    requires = oldest_runtime(format, artifact.content)
    unembedded = Unembedded(
        spec=job.artifact,
        vae=source.vae,
        content=artifact.content,
        inputs=artifact.inputs,
        outputs=artifact.outputs,
        batches=artifact.batches,
        tolerances=limits,
        requires=requires,
        notes=artifact.notes,
        sources=with_parts((job.artifact.component,), source.vae),
    )
    candidates = Candidates(
        inputs=source.golden_inputs,
        expected=source.golden_outputs,
        found=artifact.golden_outputs,
        strata=job.golden_strata,
        tolerances=limits,
        image_span=span,
    )
    converted = Converted(
        inputs=artifact.inputs,
        outputs=artifact.outputs,
        batches=artifact.batches,
        notes=artifact.notes,
        rewrites=artifact.rewrites,
        error_ratio=artifact.error_ratio,
        kernel_spread=artifact.kernel_spread,
        requires=requires,
        portability=lint(format, artifact.content),
        layers=read_layers(format, artifact.content),
        search=artifact.searched.record if artifact.searched else None,
        recipe=artifact.searched.recipe if artifact.searched else None,
    )
    return embed(unembedded, statement, candidates), converted
