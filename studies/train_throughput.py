"""How many images a second one optimizer step trains: pocketvae beside plain Keras and PyTorch, in one run.

A step is: a batch of MNIST images, dynamic binarization, encoder, latent noise, decoder, prior, loss, gradients, their
clipping, Adam and the averaged weights of the preset. All contenders train the same network from the same weights, and
the others prove that theirs is pocketvae's before they are timed: PyTorch's outputs are within 1e-4, and the losses of
three optimizer steps with the same noise are within 1e-4 of their values.

Each contender runs in a process of its own, since TensorFlow and PyTorch disturb each other. They take turns in
rounds, so that a machine that warms up or is used by others meets all alike. What is not installed is reported as not
run.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from records import (
    check_record,
    git_commit,
    portable_command,
    run_study,
    tell,
    warn_if_busy,
    without_paths,
    write_record,
)
from throughput_table import Row, format_table, summarize

from pocketvae.data.dataset import load_splits
from pocketvae.errors import PocketVaeError, SpecError, TrainingError, unknown_name
from pocketvae.processes.line_process import LineProcess
from pocketvae.processes.rpc import Client
from pocketvae.system.environment import current_environment, logical_cores
from pocketvae.train import Binarization, TrainConfig, parse_assignments, preset, with_overrides
from pocketvae.vae_spec import Likelihood, PriorKind

FOLDER = Path(__file__).parent
BASELINES = ("torch-eager", "keras-fit")
CONTENDERS = (
    "pocketvae",
    "pocketvae-toggled",
    "pocketvae-bfloat16",
    "keras-fit",
    "torch-eager",
    "torch-compile",
    "torch-autocast",
)
# The others take the gradient of the bound as it is, of images as they are, and what is compared first is float32.
_PLAIN = {
    "bfloat16": False,
    "doubly_reparameterized": False,
    "importance_warmup_epochs": 0,
    "mirror": False,
    "shift_pixels": 0,
    "zoom": 0.0,
    "augmented_epochs": 0,
}
_HOW = {"torch-compile": ", by torch.compile", "torch-autocast": ", in bfloat16 by torch.autocast"}
_STANDARD_PRIOR = {"prior": "standard", "couplings": 0, "coupling_units": 0}
_ROUND_WARMUP_STEPS = 3
_LOAD_LIMIT_S = 900.0
_TURN_LIMIT_S = 60.0


@dataclass(kw_only=True)
class Contender:
    """Something to time, and what is known of it so far.

    Attributes:
        name: One of `CONTENDERS`.
        what: In words, for the table.
        process: Where it runs.
        request: What the process is asked first.
        facts: What it told of itself.
        images_per_s: One value per round.
        problem: Why it did not run; empty where it did.
    """

    name: str
    what: str
    process: LineProcess
    request: dict[str, Any]
    facts: dict[str, Any] = field(default_factory=dict)
    images_per_s: list[float] = field(default_factory=list)
    problem: str = ""


def make_config(arguments: argparse.Namespace) -> TrainConfig:
    """Returns the preset with the values that the command line replaces.

    Raises:
        SpecError: a value is unknown, or selects a training that the contenders do not support.
    """
    overrides = {**_PLAIN, **parse_assignments(arguments.set)}
    if arguments.prior == "standard":
        overrides |= _STANDARD_PRIOR
    if arguments.batch is not None:
        overrides["batch_size"] = arguments.batch
    config = with_overrides(preset(arguments.preset), {**overrides, "threads": arguments.threads})
    simple = (
        config.likelihood is Likelihood.BERNOULLI
        and config.binarization is Binarization.DYNAMIC
        and config.prior in (PriorKind.STANDARD, PriorKind.REALNVP)
        and not (config.conditional or config.kl_warmup_epochs or config.free_bits_nats)
        and not (config.bfloat16 or config.doubly_reparameterized or config.weight_decay)
        and not config.is_augmented
        and config.beta == 1.0
        and len(config.channels) <= 2
    )
    if not simple:
        raise SpecError(
            "only these can be compared: the Bernoulli likelihood with dynamic binarization, a standard or realnvp "
            "prior, beta = 1, no KL warm-up, no free bits, no labels, at most 2 stages, float32 (bfloat16 is a "
            "contender), the whole gradient, no weight decay, images as they are; choose another --preset or "
            "drop a --set"
        )
    if not 1 <= config.threads <= logical_cores():
        raise SpecError(f"threads must be between 1 and this machine's {logical_cores()}, got {config.threads}")
    return config


def comparison(config: TrainConfig) -> str:
    """Returns in words what is compared."""
    prior = "N(0, I)" if config.prior is PriorKind.STANDARD else f"a RealNVP prior of {config.couplings} couplings"
    averages = f"averaged weights (decay {config.ema_decay:g})" if config.ema_decay else "no averaged weights"
    return (
        f"One optimizer step on {config.batch_size} MNIST images, {config.threads} threads, float32 unless said: "
        f"dynamic binarization, {config.architecture} networks, {config.importance_samples} latent samples, {prior}, "
        f"the {config.objective} objective, gradient clipping, Adam and {averages}, in every contender."
    )


def measure(
    config: TrainConfig, names: Sequence[str], *, torch_python: str, rounds: int, seconds: float
) -> list[Contender]:
    """Loads the contenders one after the other and times them in turns; returns them with their values.

    Args:
        config: Of the training.
        names: Some of `CONTENDERS`.
        torch_python: The Python that has PyTorch.
        rounds: Values of each contender.
        seconds: Of one value.

    Raises:
        TrainingError: the reference cannot be made.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        _write_reference(config, folder)
        contenders = [make_contender(name, config, folder, torch_python) for name in names]
        for contender in contenders:
            stack.enter_context(contender.process)
            tell(f"loading {contender.name}: {contender.what}")
            contender.facts = _ask(contender, contender.request, _LOAD_LIMIT_S).get("facts", {})
        for number in range(1, rounds + 1):
            tell(f"round {number} of {rounds}")
            for contender in contenders:
                _take_turn(contender, seconds, config.batch_size)
    return contenders


def make_contender(name: str, config: TrainConfig, folder: Path, torch_python: str) -> Contender:
    """Describes one contender; its process starts when it is asked something."""
    python, script, kind, what = sys.executable, "throughput_tensorflow.py", "pocketvae", "as the preset runs it"
    if name == "pocketvae-toggled":
        config = replace(config, jit_compile=not config.jit_compile)
        what = f"with jit_compile = {str(config.jit_compile).lower()}"
    elif name == "pocketvae-bfloat16":
        config, what = replace(config, bfloat16=True, onednn=True, jit_compile=False), "with bfloat16 = true"
    elif name == "keras-fit":
        # oneDNN is TensorFlow's own default, whatever the preset says.
        config, kind, what = (
            replace(config, onednn=True),
            "keras-fit",
            "a keras.Model with train_step, by fit, oneDNN on",
        )
    elif name != "pocketvae":
        python, script, kind = torch_python, "throughput_torch.py", name
        what = "the same layers" + _HOW.get(name, "")
    environment = {
        "TF_ENABLE_ONEDNN_OPTS": str(int(config.onednn)),
        "OMP_NUM_THREADS": str(config.threads),
        # What compilers leave behind goes with the folder.
        "TMPDIR": str(folder),
        "TORCHINDUCTOR_COMPILE_THREADS": "1",
    }
    return Contender(
        name=name,
        what=what,
        process=LineProcess([python, str(FOLDER / script)], environment=environment),
        request={"kind": kind, "config": config.as_dict(), "folder": str(folder)},
    )


def _write_reference(config: TrainConfig, folder: Path) -> None:
    """Writes the training images, and the weights and figures that every contender begins with."""
    tell("making the reference: weights, outputs and the losses of three steps")
    np.save(folder / "images.npy", load_splits("mnist").train.images)
    reference = make_contender("pocketvae", config, folder, sys.executable)
    with reference.process:
        _ask(reference, {**reference.request, "kind": "reference"}, _LOAD_LIMIT_S)
    if reference.problem:
        raise TrainingError(f"pocketvae must be able to train, but: {reference.problem}")


def _take_turn(contender: Contender, seconds: float, batch: int) -> None:
    if contender.problem:
        return
    request = {"seconds": seconds, "warmup_steps": _ROUND_WARMUP_STEPS}
    reply = _ask(contender, request, _TURN_LIMIT_S + 20 * seconds)
    if not contender.problem:
        contender.images_per_s.append(reply["steps"] * batch / reply["elapsed_s"])


def _ask(contender: Contender, request: Mapping[str, Any], time_limit_s: float) -> dict[str, Any]:
    """Asks a contender's process; a failure becomes the contender's problem."""
    try:
        reply = Client(contender.process).call("train", request, dict[str, Any], time_limit_s)
    except PocketVaeError as e:
        reply = {"error": str(e)}
    if "error" in reply:
        contender.problem = without_paths(reply["error"])
        tell(f"{contender.name} does not run: {contender.problem}")
    return reply


def make_record(
    arguments: argparse.Namespace, config: TrainConfig, contenders: Sequence[Contender], environment: dict[str, Any]
) -> dict[str, Any]:
    """Returns the result as plain JSON values."""
    return {
        "schema_version": 1,
        "study": "train_throughput",
        "comparison": comparison(config),
        "preset": arguments.preset,
        "config": config.as_dict(),
        "rounds": arguments.rounds,
        "seconds_per_value": arguments.seconds,
        "command": portable_command("train_throughput", sys.argv[1:]),
        "commit": git_commit(),
        "environment": environment,
        "contenders": {
            contender.name: {"what": contender.what, **contender.facts}
            for contender in contenders
            if not contender.problem
        },
        "results": [asdict(row) for row in _rows(contenders)],
        "not_run": _not_run(contenders),
    }


def _rows(contenders: Sequence[Contender]) -> list[Row]:
    values = {contender.name: contender.images_per_s for contender in contenders if not contender.problem}
    return summarize(values, [name for name in BASELINES if name in values])


def _not_run(contenders: Sequence[Contender]) -> dict[str, str]:
    return {contender.name: contender.problem for contender in contenders if contender.problem}


def parse_arguments(words: Sequence[str]) -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--preset", default="mnist", help="mnist (default), mnist-mlp or mnist-tiny")
    parser.add_argument("--batch", type=int, help="images in one step; the preset's own where not given")
    parser.add_argument(
        "--prior", choices=("preset", "standard"), default="preset", help="the preset's own, or N(0, I)"
    )
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="replace a value of the preset")
    parser.add_argument("--threads", type=int, default=2, help="of every contender (default 2)")
    parser.add_argument("--rounds", type=int, default=15, help="values of each contender (default 15)")
    parser.add_argument("--seconds", type=float, default=3.0, help="of one value (default 3)")
    parser.add_argument("--contenders", default=",".join(CONTENDERS), help="default %(default)s")
    parser.add_argument("--torch-python", default=sys.executable, metavar="PATH", help="the Python that has PyTorch")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write every value")
    parser.add_argument("--force", action="store_true", help="replace FILE where it exists")
    return parser.parse_args(words)


def run(arguments: argparse.Namespace) -> int:
    """Measures, prints the table and writes the record."""
    names = arguments.contenders.split(",")
    for name in names:
        if name not in CONTENDERS:
            raise unknown_name("contender", name, CONTENDERS)
    if arguments.rounds < 1 or arguments.seconds <= 0:
        raise SpecError("rounds must be at least 1 and seconds above 0")
    config = make_config(arguments)
    check_record(arguments.json, force=arguments.force)
    environment = current_environment()
    warn_if_busy(environment)
    contenders = measure(
        config, names, torch_python=arguments.torch_python, rounds=arguments.rounds, seconds=arguments.seconds
    )
    print(comparison(config))
    print(format_table(_rows(contenders), config.batch_size, _not_run(contenders)))
    if arguments.json is not None:
        record = make_record(arguments, config, contenders, asdict(environment))
        write_record(arguments.json, record)
    return 0


def main(words: Sequence[str] | None = None) -> int:
    """Runs the study; returns 2 for bad usage and 130 when interrupted."""
    return run_study("train_throughput", words, parse_arguments, run)


if __name__ == "__main__":
    sys.exit(main())
