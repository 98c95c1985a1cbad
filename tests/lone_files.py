"""Small files with metadata inside, made as export makes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pocketvae.bundle.manifest import ArtifactRecord, FileRecord, Stratum
from pocketvae.export.embed.embedding import Statement, Unembedded, embed
from pocketvae.export.embed.goldens import Candidates
from pocketvae.numerics.tolerance import Tolerance
from pocketvae.portability.requirements import oldest_runtime
from pocketvae.runtimes.opening import open_runner
from pocketvae.spec import Component, Format, Precision
from pocketvae.vae_spec import VaeSpec, vector_latent

COUNT = 12
TOLERANCE = Tolerance(output="image", metric="max_abs", limit=1e-5, source="test")
STATEMENT = Statement(name="tiny", licence="CC0", author="A. Author", sources={Component.DECODER: "d" * 64})


def signed(
    folder: Path,
    format: Format,
    content: bytes,
    weight: np.ndarray,
    *,
    statement: Statement = STATEMENT,
    tolerances: tuple[Tolerance, ...] = (TOLERANCE,),
    precision: Precision = Precision.FLOAT32,
) -> bytes:
    """Returns a decoder's file with metadata and golden pairs of the decoder `sigmoid(z @ weight)`.

    Args:
        folder: For a temporary file.
        format: Of `content`.
        content: A decoder of `[D]` latents and square images.
        weight: The original's, `[D, pixels]`; the file may compute something else.
    """
    path = folder / f"draft.{format}"
    path.write_bytes(content)
    latent, pixels = weight.shape
    side = int(np.sqrt(pixels))
    z = np.random.default_rng(1).normal(size=(COUNT, latent)).astype(np.float32)
    expected = (1 / (1 + np.exp(-(z @ weight)))).reshape(COUNT, side, side, 1).astype(np.float32)
    with open_runner(path, format) as runner:
        inputs, outputs = tuple(runner.inputs.values()), tuple(runner.outputs.values())
        found = runner.run_samples({"z": z})
    record = ArtifactRecord(
        component=Component.DECODER,
        precision=precision,
        format=format,
        file=FileRecord.of(f"decoder.{precision}.{format}", content),
        inputs=inputs,
        outputs=outputs,
        tolerances=tolerances,
        requires=oldest_runtime(format, content),
        notes=("a note",),
    )
    unembedded = Unembedded(
        content=content,
        record=record,
        vae=VaeSpec(data_shape=(side, side, 1), latents=vector_latent(latent)),
        tolerances=tolerances,
        sources=(Component.DECODER,),
    )
    strata = (Stratum(name="prior", start=0, count=8), Stratum(name="tails", start=8, count=COUNT - 8))
    candidates = Candidates(
        inputs={"z": z}, expected={"image": expected}, found=found, strata=strata, tolerances=tolerances
    )
    return embed(unembedded, statement, candidates)
