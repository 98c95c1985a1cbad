"""The target `android`: a phone behind adb, with a runner in C++ that uses the runtimes' own libraries."""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pocketvae.benchmarks.execution.half_precision import judged_in_half_precision
from pocketvae.benchmarks.execution.protocol import TargetRun
from pocketvae.benchmarks.execution.running import Latency
from pocketvae.benchmarks.execution.target import THIS_MACHINE, Target
from pocketvae.benchmarks.remote.accelerators import deviation_from_cpu, gpu_refusal
from pocketvae.benchmarks.remote.benchmark_model import named_benchmark, run_benchmark
from pocketvae.benchmarks.remote.debug_bridge import Device, find_adb, find_device, quoted
from pocketvae.benchmarks.remote.messages import Job, Method
from pocketvae.benchmarks.remote.native_runner import ABIS, compile_runner, find_libraries, find_ndk, named_libraries
from pocketvae.benchmarks.remote.phone import (
    Cores,
    heat_warnings,
    is_emulator,
    read_cores,
    read_heat,
    read_properties,
)
from pocketvae.benchmarks.remote.phone_channel import PhoneChannel
from pocketvae.benchmarks.remote.response_cache import ResponseCache, answers_token, claim_answers, copies_removed
from pocketvae.benchmarks.remote.runner import require_one_thread
from pocketvae.benchmarks.remote.scripts import ScriptRun
from pocketvae.bundle.bundle import Bundle
from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.errors import ChannelError, LeftoverWarning, SpecError, TargetError, unknown_name
from pocketvae.runtimes.base import Array, FloatArray, Optimizations
from pocketvae.spec import Component, Format
from pocketvae.system.files import plain_name, sha256_bytes, sha256_file
from pocketvae.system.temporary import TemporaryFolder
from pocketvae.system.tools.setup import target_folder

_CPU = "cpu"
# What computes instead of the CPU, the format that it takes, and how it is called in words.
_ACCELERATORS: Mapping[str, tuple[Format, str]] = {
    "gpu": (Format.TFLITE, "the GPU"),
    "nnapi": (Format.ONNX, "NNAPI's driver"),
    "qnn": (Format.ONNX, "Qualcomm's NPU"),
    "xnnpack": (Format.ONNX, "XNNPACK"),
}
# Those whose arithmetic is not the CPU's: half precision, and additions in another order.
_OTHER_ARITHMETIC = frozenset({"gpu", "nnapi", "qnn"})
_FORMATS = {Format.TFLITE: "TFLite", Format.ONNX: "ONNX"}
# Serial numbers of emulators that run on this machine.
_EMULATOR = re.compile(r"emulator-[0-9]+|(localhost|127\.[0-9.]+):[0-9]+")
_FOLDER = "/data/local/tmp/pocketvae"
_REFUSED = "LiteRtCreateCompiledModel failed"

_Result = TypeVar("_Result")


class AndroidTarget(Target):
    """Parity and latency on a phone that is connected to this machine."""

    def __init__(self, option: str = "") -> None:
        """Chooses the phone and what computes there.

        Args:
            option: `SERIAL`, `SERIAL?ACCELERATOR` or `ACCELERATOR`; without a serial number, the only device.

        Raises:
            SpecError: the accelerator is unknown, or the serial number cannot be one.
        """
        serial, question, accelerator = option.partition("?")
        if not question and serial in _ACCELERATORS:
            serial, accelerator = "", serial
        if (question or accelerator) and accelerator not in _ACCELERATORS:
            raise unknown_name("accelerator", accelerator, _ACCELERATORS)
        if serial.startswith("-") or any(letter.isspace() for letter in serial):
            raise SpecError(f"a serial number must be one that adb devices lists, got {serial!r}")
        self._serial, self._accelerator = serial, accelerator or _CPU
        self.has_other_kernels = self._accelerator == _CPU
        self.name = f"android:{option}" if option else "android"
        self.summary = f"a phone behind adb: android:SERIAL, android:SERIAL?ACCELERATOR ({', '.join(_ACCELERATORS)})"
        self._folder = target_folder("android")

    def unavailable(self) -> str | None:
        """See `Target.unavailable`; which phones are connected is found out by `check` and `open`."""
        missing = []
        for find in (find_adb, find_ndk, named_libraries, named_benchmark):
            try:
                find()
            except TargetError as e:
                missing.append(str(e))
        return "; ".join(missing) or None

    def machine(self) -> str:
        """See `Target.machine`."""
        return THIS_MACHINE if _EMULATOR.fullmatch(self._serial) else f"android:{self._serial}"

    def check(self) -> str | None:
        """See `Target.check`."""
        reason = self.unavailable()
        if reason is None:
            try:
                self._parts()
            except TargetError as e:
                return str(e)
        return reason

    def open(self, bundle: Bundle) -> TargetRun:
        """See `Target.open`."""
        phone, files = self._parts()
        artifacts = [bundle.artifact_path(artifact) for artifact in bundle.manifest.artifacts]
        benchmark = named_benchmark()
        paths = [*files, *artifacts, *([benchmark] if benchmark else [])]
        key = sha256_bytes("".join(sha256_file(path) for path in paths).encode())[:16]
        # The phone that was the only one may be another by the next run.
        answers = self._folder / "answers" / f"{key}-{plain_name(phone.device.serial)}"
        with contextlib.ExitStack() as held:
            claim_answers(held, answers, phone.device.serial)
            folder = f"{_FOLDER}-{key}-{answers_token(answers)}"
            local = TemporaryFolder()
            held.callback(local.remove)
            held.enter_context(copies_removed(answers, phone.device.command(f"rm -rf {quoted(folder)}")))
            channel = PhoneChannel(phone.device, folder, local.path, phone.cores.fastest)
            response_cache = ResponseCache(channel, answers)
            held.callback(_remove_copies, self.name, phone.device, folder, response_cache)
            held.callback(response_cache.close)
            _send(self.name, phone.device, folder, paths)
            copies = Copies(folder=folder, benchmark=benchmark.name if benchmark else "")
            run = AndroidRun(self.name, response_cache, bundle, phone, copies, self._accelerator)
            run.held = held.pop_all()
            return run

    def declines(self, artifact: ArtifactRecord) -> str:
        """See `Target.declines`."""
        if self._accelerator == _CPU:
            return ""
        taken, words = _ACCELERATORS[self._accelerator]
        if artifact.format is not taken:
            return f"{self._accelerator} on a phone runs {_FORMATS[taken]} files"
        if self._accelerator in _OTHER_ARITHMETIC and artifact.component in (Component.SAMPLER, Component.GENERATOR):
            return f"{words} does not support shifts and exclusive or: use a decoder, and compute its latent on the CPU"
        return ""

    def runtime(self, artifact: ArtifactRecord) -> str:
        """See `Target.runtime`."""
        return "" if self._accelerator == _CPU else f"{_ACCELERATORS[self._accelerator][1]} of the phone"

    def judged(self, bundle: Bundle, artifact: ArtifactRecord) -> ArtifactRecord:
        """See `Target.judged`: the GPU and the NPU of a phone compute floats in half precision."""
        return judged_in_half_precision(bundle, artifact) if self._accelerator in _OTHER_ARITHMETIC else artifact

    def _parts(self) -> tuple[Phone, tuple[Path, ...]]:
        """Returns the phone, and the runner and the libraries for it.

        Raises:
            TargetError: one of them is missing.
        """
        phone = _find_phone(self.name, self._serial)
        runner = compile_runner(self._folder, find_ndk(), phone.abi)
        return phone, (runner, *find_libraries(self._folder, phone.abi))


@dataclass(frozen=True, kw_only=True)
class Phone:
    """A phone that answers.

    Attributes:
        device: Behind adb.
        abi: What its programs must be made for.
        properties: Of Android.
        cores: Its processors.
    """

    device: Device
    abi: str
    properties: Mapping[str, str]
    cores: Cores

    def facts(self) -> dict[str, str]:
        """Returns what it is."""
        known = self.properties
        words = {
            "phone": f"{known.get('maker', '')} {known.get('model', '')}".strip(),
            "chip": known.get("chip") or known.get("board", ""),
            "android": known.get("android", ""),
            "cores": ", ".join(map(str, self.cores.fastest(1))),
        }
        return {name: text for name, text in words.items() if text}


@dataclass(frozen=True, kw_only=True)
class Copies:
    """What was copied to a phone.

    Attributes:
        folder: Where it is there.
        benchmark: File name of LiteRT's `benchmark_model`; empty where the user has none.
    """

    folder: str
    benchmark: str


class AndroidRun(ScriptRun):
    """The runner on a phone.

    Attributes:
        held: What ends with it: the copies on the phone, the claim on the answers.
    """

    def __init__(
        self, name: str, channel: ResponseCache, bundle: Bundle, phone: Phone, copies: Copies, accelerator: str
    ) -> None:
        """Asks the runner what it has.

        Raises:
            TargetError: it does not run there.
        """
        self.held = contextlib.ExitStack()
        self._phone, self._copies, self._remarks = phone, copies, dict[str, tuple[str, ...]]()
        super().__init__(name, channel, bundle, accelerator=accelerator)
        self._facts = {**self._facts, **phone.facts()}

    def run(
        self,
        artifact: ArtifactRecord,
        inputs: Mapping[str, Array],
        *,
        optimizations: Optimizations = Optimizations.ON,
        num_threads: int = 1,
        batch: int = 1,
    ) -> dict[str, FloatArray]:
        """See `TargetRun.run`; what an accelerator computes is compared with the phone's own CPU."""

        def outputs() -> dict[str, FloatArray]:
            return super(AndroidRun, self).run(
                artifact, inputs, optimizations=optimizations, num_threads=num_threads, batch=batch
            )

        found = outputs()
        accelerator, figures = self._accelerator, self._figures[artifact.name]
        if accelerator not in _OTHER_ARITHMETIC:
            return found
        self._accelerator = _CPU
        try:
            expected = outputs()
        finally:
            self._accelerator = accelerator
        words = _ACCELERATORS[accelerator][1]
        deviation = deviation_from_cpu(words, artifact.precision, found, expected)
        self._figures[artifact.name] = {**figures, "cpu_max_abs": deviation}
        return found

    def latency(
        self, artifact: ArtifactRecord, inputs: Mapping[str, Array], *, num_threads: int = 1, count: int = 200
    ) -> Latency:
        """See `TargetRun.latency`, on the fastest cores, with the phone's temperature noted."""
        if is_emulator(self._phone.properties):
            raise TargetError(f"{self._name}: an emulator's latency says nothing about a phone, so it is not measured")
        if self._accelerator in _OTHER_ARITHMETIC:
            words = _ACCELERATORS[self._accelerator][1]
            require_one_thread(num_threads, f"{self._name}: {words} does not compute with the CPU's threads")
        try:
            before = read_heat(self._phone.device)
            latency = super().latency(artifact, inputs, num_threads=num_threads, count=count)
            notes = heat_warnings(before, read_heat(self._phone.device))
            self._remarks[artifact.name] = (*self._benchmark(artifact, num_threads), *notes)
        except ChannelError as e:
            raise TargetError(f"{self._name}: {e}") from e
        return latency

    def _benchmark(self, artifact: ArtifactRecord, num_threads: int) -> tuple[str, ...]:
        """Returns what LiteRT's own program measures, where the user has it."""
        if not self._copies.benchmark or artifact.format is not Format.TFLITE:
            return ()
        said = run_benchmark(
            self._phone.device,
            self._copies.folder,
            self._copies.benchmark,
            self.location(artifact),
            num_threads=num_threads,
            on_gpu=self._accelerator == "gpu",
            cores=self._phone.cores.fastest(num_threads),
        )
        return (said,)

    def remarks(self, artifact: ArtifactRecord) -> tuple[str, ...]:
        """See `TargetRun.remarks`."""
        return self._remarks.get(artifact.name, ())

    def location(self, artifact: ArtifactRecord) -> str:
        """See `ScriptRun.location`: the runner starts in the folder of the copies."""
        return self._bundle.artifact_path(artifact).name

    def close(self) -> None:
        """See `TargetRun.close`."""
        self.held.close()

    def _call(
        self, method: Method, job: Job | None, arrays: Mapping[str, Array], result: type[_Result], time_limit_s: float
    ) -> tuple[_Result, dict[str, Array]]:
        try:
            return super()._call(method, job, arrays, result, time_limit_s)
        except TargetError as e:
            if _REFUSED not in str(e):
                raise
            raise TargetError(f"{self._name}: {gpu_refusal(str(e), str(e))}") from e


def _find_phone(name: str, serial: str) -> Phone:
    device = find_device(serial)
    try:
        properties, cores = read_properties(device), read_cores(device)
    except ChannelError as e:
        raise TargetError(f"{name}: {e}") from e
    known = [abi for abi in (properties.get("abis") or properties.get("abi", "")).split(",") if abi]
    abi = next((abi for abi in known if abi in ABIS), "")
    if not abi:
        raise TargetError(f"{device.serial} must be one of {', '.join(ABIS)}, got {', '.join(known) or 'no answer'}")
    return Phone(device=device, abi=abi, properties=properties, cores=cores)


def _send(name: str, device: Device, folder: str, paths: list[Path]) -> None:
    """Copies files into a folder of the phone; one that is complete is taken as it is.

    Raises:
        TargetError: they do not fit, or the phone is gone.
    """
    word = quoted(folder)
    try:
        if device.shell(f"if [ -f {word}/complete ]; then echo there; fi").strip() != "there":
            device.shell(f"rm -rf {word} && mkdir -p {word}")
            device.push(paths, folder)
            device.shell(f"chmod 755 {word}/runner && touch {word}/complete")
    except ChannelError as e:
        with contextlib.suppress(ChannelError):
            device.shell(f"rm -rf {word}")
        raise TargetError(f"{name}: {e}") from e


def _remove_copies(name: str, device: Device, folder: str, response_cache: ResponseCache) -> None:
    """Removes the copies; they stay for the next attempt when the phone is gone."""
    if response_cache.is_lost:
        return
    try:
        device.shell(f"rm -rf {quoted(folder)}")
    except ChannelError as e:
        warnings.warn(f"{name}: {folder} was left there: {e}", LeftoverWarning, stacklevel=2)
