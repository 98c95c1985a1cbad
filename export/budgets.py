"""How exact every artifact has to be, and where each number comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pocketvae.export.goldens import NoiseFloor
from pocketvae.manifest import Tolerance
from pocketvae.spec import ArtifactSpec, Component, ImageDtype, Precision

# Another summation order, another exponential function and fused multiply-adds each add about as much as the original
# differs from itself over batch sizes, threads, oneDNN, eager and graph; ten times leaves room for all of them on
# another CPU.
FLOOR_FACTOR = 10.0
# A model whose outputs never change with the batch size still may differ by a few units in the last place.
_SMALLEST_FLOOR = 1e-6
HALF_FACTOR = 2.0

_PIXEL = 1 / 255
_DECODER_BUDGETS = {
    Precision.DYNAMIC_INT8: (4.0, 1.0),
    Precision.INT8: (4.0, 1.0),
    Precision.INT16X8: (4.0, 1.0),
    # Integer z and integer pixels: the interface alone rounds z to 1/255 of its range.
    Precision.INT8_IO: (12.0, 2.0),
}
_ENCODER_KL_NATS = 0.1


_KERNELS = "how far the runtime's optimized and built-in kernels differ on this file"


def tolerances(
    spec: ArtifactSpec,
    floor: NoiseFloor,
    image_span: float = 1.0,
    kernel_spread: Mapping[str, float] | None = None,
) -> tuple[Tolerance, ...]:
    """Returns what verify holds an artifact to, see `base_tolerances` and `with_pixel_rounding`."""
    return with_pixel_rounding(spec, base_tolerances(spec, floor, image_span, kernel_spread), image_span)


def with_pixel_rounding(
    spec: ArtifactSpec, limits: tuple[Tolerance, ...], image_span: float = 1.0
) -> tuple[Tolerance, ...]:
    """Returns the limits with half a grey step more where an artifact returns pixels.

    An image that is rounded to whole pixels moves by half a step at the most, so that a float artifact stays within
    one step. Pixels that are taken stand for exactly the numbers that an artifact of float32 images is given.

    Args:
        spec: The artifact.
        limits: Of the same artifact with float32 images.
        image_span: White minus black, 255 steps.
    """
    if spec.image_dtype is not ImageDtype.UINT8 or spec.component is Component.ENCODER:
        return limits
    half_step = 0.5 * _PIXEL * image_span
    return tuple(
        replace(limit, limit=limit.limit + half_step, source=f"half a grey step of rounding, and {limit.source}")
        for limit in limits
    )


def base_tolerances(
    spec: ArtifactSpec,
    floor: NoiseFloor,
    image_span: float = 1.0,
    kernel_spread: Mapping[str, float] | None = None,
) -> tuple[Tolerance, ...]:
    """Returns what an artifact with float32 images is held to.

    What computes nothing in floating point must be equal. Other float artifacts are held to a multiple of the
    original's own spread, quantized ones to a budget in the units of their use: pixel steps for what makes an image,
    nats for an encoder.

    Args:
        spec: The artifact.
        floor: Of its component.
        image_span: White minus black, 255 steps.
        kernel_spread: Of a float file, by output. It counts up to the limit without it: what differs by more is a
            fault of a kernel, not its noise.
    """
    if floor.exact:
        source = "bit-identical by construction: integer arithmetic and a table"
        return tuple(Tolerance(output=name, metric="max_abs", limit=0.0, source=source) for name in floor.float32)
    if spec.precision.is_float:
        floor = _with_kernels(floor, kernel_spread or {})
        return tuple(_float_tolerance(spec.precision, name, floor) for name in sorted(floor.float32))
    if spec.component is Component.ENCODER:
        source = f"budget: {_ENCODER_KL_NATS} nats between the original's and the artifact's posterior"
        return (Tolerance(output="posterior", metric="kl_mean", limit=_ENCODER_KL_NATS, source=source),)
    p99, mean = _DECODER_BUDGETS[spec.precision]
    step = _PIXEL * image_span
    unit = "of 255 grey steps" if image_span == 1.0 else f"of 255 grey steps of {step:.3g}"
    return tuple(
        Tolerance(output="image", metric=metric, limit=steps * step, source=f"budget: {steps:g} {unit}")
        for metric, steps in (("p99_abs", p99), ("mean_abs", mean))
    )


def _with_kernels(floor: NoiseFloor, spread: Mapping[str, float]) -> NoiseFloor:
    largest = {name: FLOOR_FACTOR * max(value, _SMALLEST_FLOOR) for name, value in floor.float32.items()}
    return floor.widened({name: value for name, value in spread.items() if value <= largest[name]}, _KERNELS)


def _float_tolerance(precision: Precision, output: str, floor: NoiseFloor) -> Tolerance:
    measured = floor.float32[output]
    spread = max(measured, _SMALLEST_FLOOR)
    limit = FLOOR_FACTOR * spread
    cause = floor.cause.get(output, "")
    how = cause if cause == _KERNELS else f"the original against itself, most {cause}".rstrip()
    source = f"{FLOOR_FACTOR:g} x {spread:.1e}, {how}"
    if measured < _SMALLEST_FLOOR:
        source = f"{FLOOR_FACTOR:g} x {spread:.1e}, the smallest spread assumed (measured {measured:.1e})"
    if precision is Precision.FLOAT16:
        half = floor.float16[output]
        limit += HALF_FACTOR * half
        source = f"{HALF_FACTOR:g} x {half:.1e}, the original with weights rounded to half precision, plus {source}"
    return Tolerance(output=output, metric="max_abs", limit=limit, source=source)
