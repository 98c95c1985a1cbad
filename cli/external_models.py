"""The options of export for user-supplied models."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pocketvae.cli import models
from pocketvae.errors import SpecError
from pocketvae.outputs import Meaning
from pocketvae.spec import parse_choice
from pocketvae.vae_spec import DataKind

if TYPE_CHECKING:
    from pocketvae.export import ExternalModels, PriorFit, Role, Wanted

_OPTIONS = (
    "vae",
    "decoder",
    "encoder",
    "data",
    "stride",
    "channels",
    "fill_gaps",
    "fit_prior",
    "decoder_output",
    "decoder_output_name",
    "more_outputs",
    "joined_outputs",
    "encoder_outputs",
    "data_kind",
    "image_shape",
    "image_range",
    "data_format",
    "decoder_inputs",
    "latent_shape",
    "latent_dim",
    "code_count",
    "label_count",
    "condition_range",
    "latent_scale",
    "latent_shift",
    "decoder_signature",
    "encoder_signature",
    "allow_custom_code",
    "custom_code",
    "code",
    "encoder_code",
    "latent_layer",
    "decoder_part",
)
_WINDOWING = ("stride", "channels", "fill_gaps")
_ENCODER_OUTPUTS = (
    "mean",
    "log_var",
    "var",
    "std",
    "log_std",
    "cov",
    "tril",
    "sample",
    "other",
    "mean+log_var",
    "log_var+mean",
)
_JOINED_OUTPUTS = ("mean+log_var", "log_var+mean")


_DECODER_INPUTS = ("latent", "codes", "label", "continuous", "latent+label")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    group = parser.add_argument_group("user-supplied models, in place of RUN")
    group.add_argument(
        "--vae",
        metavar="FILE",
        type=Path,
        help="a whole VAE in one file or SavedModel folder, cut into encoder and decoder",
    )
    group.add_argument("--decoder", metavar="FILE", type=Path, help=".keras, .h5 or .onnx file or SavedModel folder")
    group.add_argument("--encoder", metavar="FILE", type=Path, help="the same for the encoder")
    group.add_argument("--data", metavar="SRC", help="images or other data for calibration and testing (default: none)")
    models.add_windowing(group)
    group.add_argument(
        "--fit-prior", metavar="KIND", help="gmm or flow: fit a mixture or a RealNVP flow to the latents of --data"
    )
    group.add_argument(
        "--decoder-output", metavar="KIND", help="probabilities, logits, image or tanh (default: detected)"
    )
    group.add_argument(
        "--decoder-output-name",
        metavar="NAME",
        help="the output that holds the data, of a decoder with several outputs (default: detected)",
    )
    group.add_argument(
        "--more-outputs",
        metavar="LIST",
        help=f"its other outputs to export, or none; NAME=MEANING says what one is: {', '.join(Meaning)} "
        "(default: all, detected)",
    )
    group.add_argument(
        "--joined-outputs",
        metavar="ORDER",
        help=f"{' or '.join(_JOINED_OUTPUTS)}: its output holds both, one behind the other on its last axis",
    )
    group.add_argument(
        "--encoder-outputs",
        metavar="LIST",
        help=f"one of {', '.join(_ENCODER_OUTPUTS)} for each output (default: detected)",
    )
    group.add_argument(
        "--data-kind", metavar="KIND", help=f"one of {', '.join(DataKind)} (default: detected from the shape)"
    )
    group.add_argument(
        "--image-shape", metavar="H,W,C", help="image shape of a decoder that returns vectors (default: a square)"
    )
    group.add_argument(
        "--image-range",
        metavar="LOW,HIGH",
        help="black and white of a decoder whose images nothing bounds (default: 0,1, -1,1 or 0,255 if samples are "
        "about there, else the range of samples)",
    )
    group.add_argument(
        "--data-format",
        metavar="FORMAT",
        help="channels_first or channels_last, for ONNX files whose operators do not show it (default: what is usual)",
    )
    group.add_argument(
        "--decoder-inputs",
        metavar="LIST",
        help=f"one of {', '.join(_DECODER_INPUTS)} for each input (default: detected)",
    )
    group.add_argument(
        "--latent-shape", metavar="SIZES", help="sizes of a latent that a decoder leaves open, such as 32,32,4"
    )
    group.add_argument(
        "--latent-dim", metavar="D", type=int, help="latent dimensions of a decoder of [N, D + K], a latent and a label"
    )
    group.add_argument(
        "--code-count", metavar="K", type=int, help="number of codes of a decoder of integer codes (default: detected)"
    )
    group.add_argument(
        "--label-count", metavar="N", help="number of classes of a conditional model, of each label (default: detected)"
    )
    group.add_argument(
        "--condition-range", metavar="LOW,HIGH", help="range of conditions that are real numbers (default: 0,1)"
    )
    group.add_argument(
        "--latent-scale",
        metavar="S",
        type=float,
        help="artifacts have the models' latents times S, as latent diffusion has with its scaling factor (default: 1)",
    )
    group.add_argument(
        "--latent-shift", metavar="T", type=float, help="what is subtracted from these latents before (default: 0)"
    )
    group.add_argument(
        "--decoder-signature", metavar="NAME", help="signature of a SavedModel with several (default: detected)"
    )
    group.add_argument("--encoder-signature", metavar="NAME", help="the same for the encoder")
    group.add_argument(
        "--allow-custom-code", action="store_true", help="load Lambda layers and classes that are not part of Keras"
    )
    group.add_argument(
        "--custom-code", metavar="FILE", type=Path, help="Python file that defines such classes; it is executed"
    )
    group.add_argument(
        "--code",
        metavar="FILE.py:FUNCTION",
        help="function that builds the model whose weights alone --decoder or --vae names; the file is executed",
    )
    group.add_argument("--encoder-code", metavar="FILE.py:FUNCTION", help="the same for the weights of --encoder")
    group.add_argument(
        "--latent-layer", metavar="NAME", help="layer of a whole VAE that makes the latent (default: detected)"
    )
    group.add_argument(
        "--decoder-part", metavar="NAME", help="layer or part of it that the decoder ends in (default: detected)"
    )


def parse_prior(arguments: argparse.Namespace) -> PriorFit | None:
    """Returns what to fit to the latents of the data; None for nothing.

    Raises:
        SpecError: the value is unknown.
    """
    from pocketvae.export import PriorFit

    return parse_choice(PriorFit, arguments.fit_prior, "prior") if arguments.fit_prior is not None else None


def given_options(arguments: argparse.Namespace) -> list[str]:
    """Returns the options of this group that were given; those of recordings also say how to read normal items."""
    given = [name for name in _OPTIONS if not (getattr(arguments, name) is None or getattr(arguments, name) is False)]
    shared = _WINDOWING if arguments.calibrate_scores else ()
    return [f"--{name.replace('_', '-')}" for name in given if name not in shared]


def parse(arguments: argparse.Namespace) -> ExternalModels:
    """Returns the models that the options describe.

    Raises:
        SpecError: a value is unknown or not a number, or `--decoder` is missing.
    """
    from pocketvae.export import CustomCode, DataFormat, DecoderOutput, ExternalModels

    output, file, whole = arguments.decoder_output, arguments.custom_code, arguments.vae
    if whole is not None and (arguments.decoder or arguments.encoder):
        raise SpecError("--vae holds encoder and decoder: give either --vae, or --decoder and --encoder")
    return ExternalModels(
        decoder=whole or arguments.decoder,
        encoder=whole or arguments.encoder,
        code=CustomCode(
            allowed=arguments.allow_custom_code or file is not None, file=str(file.absolute()) if file else None
        ),
        decoder_output=parse_choice(DecoderOutput, output, "decoder output") if output is not None else None,
        decoder_output_name=arguments.decoder_output_name or "",
        more_outputs=_wanted(arguments.more_outputs),
        joined_outputs=_joined(arguments.joined_outputs),
        encoder_outputs=_roles(arguments.encoder_outputs, _ENCODER_OUTPUTS, "encoder output"),
        data_kind=parse_choice(DataKind, arguments.data_kind, "kind of data") if arguments.data_kind else None,
        image_shape=_image_shape(arguments.image_shape),
        data_format=parse_choice(DataFormat, arguments.data_format, "data format") if arguments.data_format else None,
        image_range=_range(arguments.image_range, "--image-range"),
        decoder_inputs=_roles(arguments.decoder_inputs, _DECODER_INPUTS, "decoder input"),
        latent_shape=_sizes(arguments.latent_shape),
        latent_dim=arguments.latent_dim,
        code_count=arguments.code_count,
        label_count=_integers(arguments.label_count),
        condition_range=_range(arguments.condition_range, "--condition-range"),
        latent_scale=arguments.latent_scale,
        latent_shift=arguments.latent_shift,
        decoder_signature=arguments.decoder_signature or "",
        encoder_signature=arguments.encoder_signature or "",
        decoder_code=_absolute(arguments.code),
        encoder_code=_absolute(arguments.encoder_code),
        latent_layer=arguments.latent_layer or "",
        decoder_part=arguments.decoder_part or "",
    )


def _absolute(code: str | None) -> str:
    return str(Path(code).absolute()) if code else ""


def _roles(text: str | None, known: tuple[str, ...], noun: str) -> tuple[Role, ...] | None:
    from pocketvae.errors import unknown_name
    from pocketvae.export import Role

    if text is None:
        return None
    words = [word.strip() for word in text.split(",")]
    for word in words:
        if word not in known:
            raise unknown_name(noun, word, known)
    return tuple(Role.Z if word == "latent" else Role(word) for word in words)


def _joined(text: str | None) -> Role | None:
    roles = _roles(text, _JOINED_OUTPUTS, "order of joined outputs")
    if roles is not None and len(roles) > 1:
        raise SpecError(f"--joined-outputs takes one of {', '.join(_JOINED_OUTPUTS)}, got {text}")
    return roles[0] if roles else None


def _wanted(text: str | None) -> tuple[Wanted, ...] | None:
    from pocketvae.export import Wanted

    if text is None or text == "none":
        return None if text is None else ()
    pairs = [word.strip().partition("=") for word in text.split(",")]
    return tuple(
        Wanted(name=name, meaning=parse_choice(Meaning, meaning, "meaning of an output") if equals else None)
        for name, equals, meaning in pairs
    )


def _integers(text: str | None) -> tuple[int, ...] | None:
    try:
        return tuple(int(word) for word in text.split(",")) if text else None
    except ValueError as e:
        raise SpecError(f"--label-count takes integers such as 10 or 10,4, got {text!r}") from e


def _sizes(text: str | None) -> tuple[int, ...] | None:
    try:
        return tuple(int(word) for word in text.split(",")) if text is not None else None
    except ValueError as e:
        raise SpecError(f"--latent-shape takes integers such as 32,32,4, got {text!r}") from e


def _range(text: str | None, option: str) -> tuple[float, float] | None:
    try:
        low, high = (float(word) for word in text.split(",")) if text else (0.0, 0.0)
    except ValueError as e:
        raise SpecError(f"{option} takes two numbers such as -1,1, got {text!r}") from e
    return (low, high) if text else None


def _image_shape(text: str | None) -> tuple[int, int, int] | None:
    if text is None:
        return None
    try:
        height, width, channels = (int(word) for word in text.split(","))
    except ValueError as e:
        raise SpecError(f"--image-shape takes three integers such as 28,28,1, got {text!r}") from e
    return height, width, channels
