"""Evaluation of a run: a run directory in, the figures that papers report out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pocketvae.bundle.run import open_run
from pocketvae.data.dataset import ImageSplits
from pocketvae.data.embedded import MNIST
from pocketvae.errors import SpecError
from pocketvae.keras.io import start_tensorflow
from pocketvae.kinds.registry import kind_of
from pocketvae.progress import Progress, ProgressCallback, ignore_progress
from pocketvae.spec import STRICT
from pocketvae.system import limits
from pocketvae.train.config import Binarization, TrainConfig
from pocketvae.train.evaluated import evaluated_data, load_vae
from pocketvae.train.evaluation import (
    ElboEstimate,
    Evaluator,
    LikelihoodEstimate,
    bits_per_dim,
    likelihood_estimate,
    overlap_of,
)
from pocketvae.train.presets import with_overrides
from pocketvae.train.sample_quality import FEWEST_SAMPLES, MOST_SAMPLES, SampleQuality, check_enough, sample_quality
from pocketvae.train.shared_evaluation import ImportanceJob, Sharing, shared_nats
from pocketvae.vae_spec import DataKind, Likelihood

SCHEMA_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The result of `pocketvae evaluate`.

    Attributes:
        run: Name of the run's preset.
        data: Name of the source; its test items are evaluated.
        kind: The kind of data.
        likelihood: p(x|z), which determines what the nats measure.
        binarization: Binarization for a Bernoulli likelihood; None for the others. Results of the two kinds cannot be
            compared.
        seed: Seed of binarization and latents.
        elbo: One latent sample per image.
        log_likelihood: By importance sampling.
        elbo_bits_per_dim: The negative ELBO in bits per dimension; None for a density.
        bits_per_dim: -log p(x) in bits per dimension; None for a density.
        sample_quality: Draws from the prior against test images; None where no samples were asked for.
    """

    __pydantic_config__ = STRICT
    schema_version: int = SCHEMA_VERSION
    run: str
    data: str
    kind: DataKind = DataKind.IMAGE
    likelihood: Likelihood
    binarization: Binarization | None
    seed: int
    elbo: ElboEstimate
    log_likelihood: LikelihoodEstimate
    elbo_bits_per_dim: float | None
    bits_per_dim: float | None
    sample_quality: SampleQuality | None = None


def evaluate(
    run_path: Path,
    *,
    source: str | None = None,
    importance_samples: int = 5000,
    image_count: int | None = None,
    sample_count: int | None = None,
    seed: int = 0,
    skip_corrupt: bool = False,
    sharing: Sharing | None = None,
    progress: ProgressCallback = ignore_progress,
) -> Evaluation:
    """Evaluates a run on the test items of its data.

    Args:
        run_path: The run directory.
        source: Source of the data; None for a run that was trained on the embedded MNIST.
        importance_samples: K, the samples per item.
        image_count: Evaluate only the first items; None for all.
        sample_count: Compare so many draws from the prior, at least 16, with test images, see `sample_quality`; None
            for none.
        seed: Seed of binarization and latents.
        skip_corrupt: Skip images of a folder that cannot be read, as training may have done.
        sharing: The cluster whose workers share importance sampling, with the same figures; None for this process.
        progress: Called after every batch.

    Raises:
        ManifestError: the run is damaged.
        SpecError: a number is out of range, or samples are asked for of a model of other data than images.
        DataError: the images cannot be used or are not of the model's size, or their source is unknown.
        TargetError: TensorFlow is not installed, or the cluster cannot be used.
    """
    for name, value, least, most in (
        ("importance samples", importance_samples, 1, limits.MOST_IMPORTANCE_SAMPLES),
        ("images", image_count, 1, None),
        ("samples", sample_count, FEWEST_SAMPLES, MOST_SAMPLES),
    ):
        if value is not None:
            limits.check_number(value, f"the number of {name}", least=least, most=most)
    limits.check_number(seed, "--seed", least=0, most=2**31 - 1)
    run = open_run(run_path)
    config = with_overrides(TrainConfig(), run.record.config)
    if sample_count is not None and config.data is not DataKind.IMAGE:
        raise SpecError(f"--samples compares images, but the run is of {kind_of(config.data).plural}")
    data = evaluated_data(run, source, config, skip_corrupt=skip_corrupt)
    if sample_count is not None and isinstance(data, ImageSplits):
        check_enough(data.test)
    test = data.test if image_count is None else data.test.take(slice(image_count))
    progress(Progress(stage="loading TensorFlow", done=0, total=1))
    start_tensorflow(onednn=config.onednn, threads=config.threads, remapped=config.is_remapped)
    model = load_vae(run)
    evaluator = Evaluator(model, seed=seed)
    elbo = evaluator.elbo(test)
    quality = None
    if sample_count is not None and isinstance(data, ImageSplits):
        # Before the longest part, which keeps what its workers have done until it ends.
        binary = config.binarization is Binarization.STATIC
        quality = sample_quality(model, data, sample_count, seed, binary=binary, progress=progress)
    if sharing is None:
        likelihood = evaluator.log_likelihood(test, importance_samples, progress=progress)
    else:
        job = ImportanceJob(
            run=run_path.absolute(),
            source=_where(source, config.data),
            skip_corrupt=skip_corrupt,
            importance_samples=importance_samples,
            seed=seed,
            threads=sharing.cluster.threads,
        )
        nats = shared_nats(sharing, job, run, data, len(test), progress)
        likelihood = likelihood_estimate(nats, importance_samples, overlap_of(test))
    vae = run.record.vae
    return Evaluation(
        run=run.record.preset,
        data=data.name,
        kind=vae.data,
        likelihood=vae.likelihood,
        binarization=config.binarization if vae.likelihood is Likelihood.BERNOULLI else None,
        seed=seed,
        elbo=elbo,
        log_likelihood=likelihood,
        elbo_bits_per_dim=bits_per_dim(vae, elbo.negative_elbo_nats),
        bits_per_dim=bits_per_dim(vae, likelihood.negative_log_likelihood_nats),
        sample_quality=quality,
    )


def _where(source: str | None, data: DataKind) -> str | None:
    """Returns a source as workers find it, whose working directory is another."""
    # Of images, this name is that of the embedded ones, also beside a folder of that name.
    if source is None or (source == MNIST and data is DataKind.IMAGE):
        return source
    path = Path(source)
    return str(path.absolute()) if path.exists() else source
