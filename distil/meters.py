"""What a decoder costs: its latency on this machine, or the estimate of Arm's compiler for one of Arm's NPUs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from pocketvae.bundle.embedded import metadata_bytes
from pocketvae.distil.conversion import convert, convert_integer, multiply_adds
from pocketvae.distil.latents import CALIBRATION, draw
from pocketvae.distil.source import Source, integer_decoder
from pocketvae.distil.teacher import Teacher, joined
from pocketvae.distil.timing import call_of, time_in_turns
from pocketvae.errors import SpecError
from pocketvae.export.quantize.npu_form import without_depth_to_space
from pocketvae.portability.ethos_u import EthosU
from pocketvae.portability.vela import NpuEstimate, compile_for
from pocketvae.runtimes.base import Runner
from pocketvae.runtimes.opening import open_runner
from pocketvae.spec import Format

_SEARCH_ROUNDS, _FINAL_ROUNDS = 60, 600
_CALIBRATION_LATENTS = 128


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one decoder costs, and what its teacher costs in the same moments.

    Attributes:
        latency_us: Of one call, in microseconds.
        teacher_us: The same of the teacher.
        size_bytes: Of the file.
        multiply_adds: For one sample.
    """

    latency_us: float
    teacher_us: float
    size_bytes: int
    multiply_adds: int


class Meter(Protocol):
    """Measures students beside their teacher."""

    @property
    def teacher_bytes(self) -> int:
        """Size of the teacher's file."""

    @property
    def teacher_multiply_adds(self) -> int:
        """Multiplications of the teacher's file for one sample."""

    def measure(self, model: Any, *, final: bool = False) -> Cost:
        """Returns the cost of a student.

        Args:
            model: From `build_student`.
            final: Whether it is the trained one, which is measured for longer.

        Raises:
            ExportError: the conversion failed.
            SpecError: the NPU does not run all of it.
            TargetError: the compiler fails.
        """


@contextlib.contextmanager
def meter_for(source: Source, teacher: Teacher, chip: EthosU | None, seed: int) -> Iterator[Meter]:
    """Yields what measures students of a teacher.

    Args:
        source: Of the teacher.
        teacher: The teacher.
        chip: The NPU whose estimate counts; None for latencies on this machine.
        seed: Of the latents that ranges of integers are found with.
    """
    if chip is not None:
        yield ChipMeter(source, teacher, chip, seed)
        return
    content = teacher.decoder_path.read_bytes()
    with open_runner(content, teacher.artifact.format) as runner:
        yield HostMeter(source, teacher, content, runner)


class HostMeter:
    """Times float32 files on this machine with one thread, by turns with the teacher's own.

    Sizes are those of files as export writes them, with metadata and golden pairs as large as in the teacher's.
    """

    def __init__(self, source: Source, teacher: Teacher, content: bytes, runner: Runner) -> None:
        """Takes the teacher's file, which is open in a runner."""
        self._source, self._content, self._format = source, content, teacher.artifact.format
        self._call = call_of(runner)
        # The golden pairs of a student have the same shapes.
        self._metadata_bytes = metadata_bytes(self._format, content)

    @property
    def teacher_bytes(self) -> int:
        """See `Meter`."""
        return len(self._content)

    @property
    def teacher_multiply_adds(self) -> int:
        """See `Meter`."""
        return multiply_adds(self._content, self._format)

    def measure(self, model: Any, *, final: bool = False) -> Cost:
        """See `Meter`."""
        content = convert(model, self._source.vae, user_supplied=not self._source.makes_run)
        with open_runner(content, Format.TFLITE) as runner:
            rounds = _FINAL_ROUNDS if final else _SEARCH_ROUNDS
            times = time_in_turns(self._call, call_of(runner), rounds=rounds)
        return Cost(
            latency_us=times.student_us,
            teacher_us=times.teacher_us,
            size_bytes=len(content) + self._metadata_bytes,
            multiply_adds=multiply_adds(content),
        )


class ChipMeter:
    """Compiles int8 files for an Ethos-U; times are the compiler's estimate, sizes those of the compiled file.

    The teacher's file is made as a student's is, so that the two differ by their shapes alone.
    """

    def __init__(self, source: Source, teacher: Teacher, chip: EthosU, seed: int) -> None:
        """Compiles the teacher's file.

        Raises:
            ExportError: the conversion failed.
            SpecError: the NPU does not run all of it.
            TargetError: the compiler fails.
        """
        self._source, self._chip = source, chip
        drawn = draw(teacher, _CALIBRATION_LATENTS, seed=seed, stream=CALIBRATION, number=0)
        self._inputs = joined(drawn).inputs(source.vae)
        supplied = integer_decoder(source)
        content = supplied if supplied is not None else self._integer(teacher.network)
        self.teacher_multiply_adds = multiply_adds(content)
        self._teacher = self._estimate(content, "the teacher")
        self.teacher_bytes = len(self._teacher.compiled)

    def measure(self, model: Any, *, final: bool = False) -> Cost:
        """See `Meter`; an estimate is the same every time."""
        content = self._integer(model)
        found = self._estimate(content, "a student")
        return Cost(
            latency_us=1e6 * found.time_s,
            teacher_us=1e6 * self._teacher.time_s,
            size_bytes=len(found.compiled),
            multiply_adds=multiply_adds(content),
        )

    def _integer(self, model: Any) -> bytes:
        source = self._source
        return convert_integer(model, source.vae, self._inputs, user_supplied=not source.makes_run)

    def _estimate(self, content: bytes, whose: str) -> NpuEstimate:
        found = compile_for(self._chip, without_depth_to_space(content), f"the decoder of {whose}")
        if found.left_inside:
            names = ", ".join(sorted({item.operator for item in found.left_inside}))
            raise SpecError(
                f"{self._chip.accelerator} leaves operators of {whose} on the CPU, whose time the compiler does not "
                f"count ({names}): distil for this machine, without --for"
            )
        return found
