"""The command `pocketvae train`."""

from __future__ import annotations

import argparse
from pathlib import Path

from pocketvae.cli import arguments as common
from pocketvae.cli.models import column_names
from pocketvae.cli.terminal import Terminal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument(
        "--data",
        metavar="SRC",
        required=True,
        help="images: mnist, a folder of them, .npz, .npy or idx files; signals: .csv, .parquet, .wav or .flac, a "
        "folder of them, .npz or .npy; a table: .csv, .parquet, .npz or .npy",
    )
    parser.add_argument("--out", metavar="RUN", type=Path, required=True, help="run directory to create")
    parser.add_argument("--preset", default="mnist-tiny", help="named configuration (default: %(default)s)")
    parser.add_argument("--config", metavar="FILE", type=Path, help="TOML file of values that override the preset's")
    parser.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[], help="override one value, for example epochs=20"
    )
    parser.add_argument(
        "--resize", metavar="SIZE", type=int, help="scale all images to SIZE x SIZE pixels, as --set resize=SIZE does"
    )
    signals = parser.add_argument_group("signals and tables")
    signals.add_argument(
        "--window", metavar="STEPS", type=int, help="time steps of a window, as --set window=STEPS does"
    )
    signals.add_argument(
        "--stride", metavar="STEPS", type=int, help="time steps from one window to the next, as --set stride=STEPS does"
    )
    signals.add_argument("--channels", metavar="NAMES", help="columns to use, for example ax,ay,az, as the key columns")
    signals.add_argument(
        "--truth",
        metavar="COLUMN",
        help="column that is 1 where a time step is an anomaly, or folders/ of anomalies: such windows are left out",
    )
    signals.add_argument(
        "--fill-gaps",
        metavar="STEPS",
        type=int,
        help="fill in runs of up to STEPS missing values, as --set fill_gaps=STEPS",
    )
    parser.add_argument("--resume", action="store_true", help="resume an interrupted training run, if there is one")
    parser.add_argument(
        "--strategy", default="none", help="none, mirrored or multi_worker: who shares the work (default: none)"
    )
    parser.add_argument("--skip-corrupt", action="store_true", help="skip images or recordings that cannot be read")
    common.add_force(parser)


def run(arguments: argparse.Namespace) -> int:
    """Trains a VAE and prints the final figures."""
    from pocketvae.bundle.run import RUN_FILES, RUN_NAME
    from pocketvae.kinds.registry import kind_of
    from pocketvae.spec import parse_choice
    from pocketvae.train import Strategy, parse_assignments, preset, read_toml, train, with_overrides

    common.check_replaceable(arguments.out, RUN_NAME, force=arguments.force, names=RUN_FILES)
    config = preset(arguments.preset)
    if arguments.config is not None:
        config = with_overrides(config, read_toml(arguments.config))
    config = with_overrides(config, parse_assignments(arguments.set))
    options = {"resize": arguments.resize, "window": arguments.window, "stride": arguments.stride}
    options |= {"truth": arguments.truth, "fill_gaps": arguments.fill_gaps}
    if arguments.channels is not None:
        options["columns"] = list(column_names(arguments.channels))
    config = with_overrides(config, {key: value for key, value in options.items() if value is not None})
    with Terminal(quiet=arguments.quiet) as terminal:
        record = train(
            source=arguments.data,
            out=arguments.out,
            config=config,
            preset=arguments.preset,
            force=arguments.force,
            resume=arguments.resume,
            strategy=parse_choice(Strategy, arguments.strategy, "strategy"),
            skip_corrupt=arguments.skip_corrupt,
            progress=terminal.step,
        )
    metrics, kind = record.metrics, record.config["binarization"]
    unit = f"{kind} binarization" if record.vae.likelihood == "bernoulli" else f"{record.vae.likelihood} likelihood"
    plural = kind_of(record.vae.data).plural
    count = f"{metrics[f'test_{plural}']:.0f} test {plural}"
    terminal.line(
        f"negative ELBO {metrics['test_negative_elbo_nats']:.2f} "
        f"+- {metrics['test_negative_elbo_standard_error_nats']:.2f} nats on {count} "
        f"(reconstruction {metrics['test_reconstruction_nats']:.2f}, KL {metrics['test_kl_nats']:.2f}; "
        f"{metrics['active_units']:.0f} of {record.vae.latent_dim} latent dimensions active; {unit})"
    )
    for warning in record.warnings:
        terminal.warn(warning)
    terminal.line(f"ended: {record.ended}")
    terminal.line(f"run: {arguments.out}")
    terminal.next("export", arguments.out, "--out", "bundle")
    return 0
