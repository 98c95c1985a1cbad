"""The command `pocketvae evaluate`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pocketvae.cli import arguments as common
from pocketvae.cli import clusters
from pocketvae.cli.terminal import Terminal

if TYPE_CHECKING:
    from pocketvae.train import Evaluation, Sharing
    from pocketvae.train.sample_quality import SampleQuality


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("run", metavar="RUN", type=Path, help="run directory made by pocketvae train")
    parser.add_argument(
        "--data", metavar="SRC", help="source of the data (default: MNIST, for a run that was trained on it)"
    )
    parser.add_argument(
        "--importance-samples",
        metavar="K",
        type=int,
        default=5000,
        help="samples per item for -log p(x) (default: %(default)s)",
    )
    parser.add_argument("--images", metavar="N", type=int, help="evaluate the first N test items (default: all)")
    parser.add_argument(
        "--samples",
        metavar="N",
        type=int,
        help="compare N draws from the prior, 16 to 5000, with as many test images: kernel distance, precision and "
        "recall",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of binarization and latents (default: 0)")
    parser.add_argument("--skip-corrupt", action="store_true", help="skip images or recordings that cannot be read")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures as JSON")
    clusters.add_cluster(parser, reads_items=False)
    parser.add_argument("--threads", metavar="N", type=int, help="with --cluster: threads of each worker (default: 1)")
    parser.add_argument("--force", action="store_true", help="with --cluster: drop what another evaluation left")


def run(arguments: argparse.Namespace) -> int:
    """Evaluates a run and prints one row per figure."""
    from pocketvae.documents import encode
    from pocketvae.system.files import write_text
    from pocketvae.train import evaluate

    common.check_file_output(arguments.json)
    sharing = _sharing(arguments)
    with Terminal(quiet=arguments.quiet) as terminal:
        result = evaluate(
            arguments.run,
            source=arguments.data,
            importance_samples=arguments.importance_samples,
            image_count=arguments.images,
            sample_count=arguments.samples,
            seed=arguments.seed,
            skip_corrupt=arguments.skip_corrupt,
            sharing=sharing,
            progress=terminal.step,
        )
    # Print first what took long to compute: a full disk must not lose it.
    terminal.line(_subject(result))
    terminal.table(["figure", "value", "standard error", "unit"], _rows(result))
    if result.sample_quality is not None:
        _show_quality(terminal, result.sample_quality)
    if arguments.json is not None:
        write_text(arguments.json, encode(result))
    return 0


def _show_quality(terminal: Terminal, quality: SampleQuality) -> None:
    terminal.line(
        f"features of a classifier of {quality.task}, right about {100 * quality.accuracy:.1f} % of the test images"
    )
    rows = [
        [name, f"{part.kernel_distance:.4f}", f"{part.precision:.3f}", f"{part.recall:.3f}"]
        for name, part in (("samples", quality.samples), ("training images", quality.training))
    ]
    terminal.table([f"{quality.images} against test images", "kernel distance", "precision", "recall"], rows)


def _sharing(arguments: argparse.Namespace) -> Sharing | None:
    """Returns the cluster that is asked for; the work folder lies beside the JSON file, or else beside the run."""
    from pocketvae.blocks.cluster import Cluster
    from pocketvae.train import Sharing

    if not clusters.is_asked(arguments, ("workers", "threads", "force")):
        return None
    cluster = Cluster(address=arguments.cluster, workers=arguments.workers, threads=arguments.threads or 1)
    beside = arguments.run.absolute().with_name(f"{arguments.run.absolute().name}.evaluation")
    return Sharing(cluster=cluster, out=arguments.json or beside, force=arguments.force)


def _subject(result: Evaluation) -> str:
    from pocketvae.kinds.registry import kind_of

    kind = f", {result.binarization} binarization" if result.binarization else ""
    items = f"{result.log_likelihood.images} test {kind_of(result.kind).plural}"
    return f"{result.run}: {items} of {result.data}, {result.likelihood}{kind}"


def _rows(result: Evaluation) -> list[list[str]]:
    elbo, likelihood = result.elbo, result.log_likelihood
    rows = [
        [
            f"-log p(x), {likelihood.importance_samples} importance samples",
            f"{likelihood.negative_log_likelihood_nats:.2f}",
            f"{likelihood.standard_error_nats:.2f}",
            "nats",
        ],
        ["negative ELBO", f"{elbo.negative_elbo_nats:.2f}", f"{elbo.standard_error_nats:.2f}", "nats"],
        ["reconstruction term", f"{elbo.reconstruction_nats:.2f}", "", "nats"],
        ["KL term", f"{elbo.kl_nats:.2f}", "", "nats"],
    ]
    if result.bits_per_dim is not None:
        rows.append(["-log p(x) per pixel and channel", f"{result.bits_per_dim:.4f}", "", "bits/dim"])
    if elbo.psnr_db is not None:
        rows.append(["reconstruction of grey values", f"{elbo.psnr_db:.2f}", "", "dB PSNR"])
    if elbo.explained_variance is not None:
        rows.append(["variance that reconstructions explain", f"{100 * elbo.explained_variance:.1f}", "", "%"])
    rows.append(["active latent dimensions", str(elbo.active_units), "", ""])
    return rows
