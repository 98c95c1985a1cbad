"""What a firmware project says: the file, its kernels, its interface, its samples and its memory."""

from __future__ import annotations

from dataclasses import dataclass

from pocketvae.bundle.bundle import Bundle
from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.export.firmware.flash import for_flash
from pocketvae.export.firmware.goldens import SelfTest, self_test
from pocketvae.export.firmware.kernels import Kernel, kernels_of
from pocketvae.export.firmware.memory import Memory, memory_of
from pocketvae.export.firmware.tensors import Interface, read_interface
from pocketvae.export.firmware.window import Window, window_of
from pocketvae.formats.tflite.subgraphs import read_run_operators
from pocketvae.portability.ethos_u import EthosU
from pocketvae.portability.vela import NpuEstimate, compile_for


@dataclass(frozen=True, kw_only=True)
class Firmware:
    """A project for one artifact.

    Attributes:
        artifact: What it runs.
        content: The file in flash: the artifact without what is not read there, or what the chip's compiler made of it.
        estimate: Of the NPU that it is compiled for; None without one.
        kernels: What its resolver has.
        interface: Its inputs and outputs.
        window: What it collects; None where it takes whole items.
        test: The samples of its self-test.
        memory: Its table of bytes.
    """

    artifact: ArtifactRecord
    content: bytes
    estimate: NpuEstimate | None
    kernels: tuple[Kernel, ...]
    interface: Interface
    window: Window | None
    test: SelfTest
    memory: Memory

    @property
    def threshold(self) -> float | None:
        """The score above which a scorer raises the alarm, in nats; None of other components."""
        scoring = getattr(self.artifact, "scoring", None)
        return None if scoring is None else float(scoring.threshold)


def plan_firmware(bundle: Bundle, artifact: ArtifactRecord, npu: EthosU | None, hop: int | None) -> Firmware:
    """Returns everything that the project's files say; see `write_firmware`."""
    plain = bundle.artifact_path(artifact).read_bytes()
    kernels = kernels_of(read_run_operators(plain), artifact.name)
    interface = read_interface(artifact, plain)
    window = window_of(bundle.manifest.vae, interface.inputs, hop)
    content = for_flash(plain)
    test = self_test(bundle, artifact, content, interface)
    estimate = None
    if npu is not None:
        estimate = compile_for(npu, for_flash(plain, keep_names=True), artifact.name)
        content = estimate.compiled
        kernels = kernels_of(read_run_operators(content), artifact.name)
    return Firmware(
        artifact=artifact,
        content=content,
        estimate=estimate,
        kernels=kernels,
        interface=interface,
        window=window,
        test=test,
        memory=memory_of(content, test, window, estimate),
    )
