"""The target `gpu`: LiteRT's GPU accelerator, which apps on phones use, on a graphics card or on SwiftShader."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from pocketvae.benchmarks.execution.half_precision import judged_in_half_precision
from pocketvae.benchmarks.execution.protocol import TargetRun
from pocketvae.benchmarks.execution.running import Latency
from pocketvae.benchmarks.execution.target import Target, not_set_up, require_linux
from pocketvae.benchmarks.remote.channel import ChannelRun, start_here
from pocketvae.bundle.bundle import Bundle
from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.errors import TargetError, unknown_name
from pocketvae.runtimes.base import Array, Optimizations
from pocketvae.spec import Component, Format, Precision
from pocketvae.system.files import write_text
from pocketvae.system.tools import apt, chromium
from pocketvae.system.tools.setup import SetupStep, folder_step, target_folder

# By default a graphics card computes in half precision, as in apps that do not ask for single precision.
_FLOAT32 = "float32"
_LOADER, _SHADER = "libvulkan1", "chromium"
_SHADER_FILE = "libvk_swiftshader.so"
_DRIVER_NAME = "swiftshader.json"
_DRIVER = f'{{"file_format_version": "1.0.0", "ICD": {{"library_path": "./{_SHADER_FILE}", "api_version": "1.1.0"}}}}\n'
# Where drivers of graphics cards describe themselves; Mesa's lavapipe is no card.
_DRIVER_FOLDERS = (Path("/usr/share/vulkan/icd.d"), Path("/etc/vulkan/icd.d"))
_SOFTWARE = "lvp_"
# Mesa's drivers of cards are installed wherever Mesa is, so that a card must be there too. The last is Windows' WSL.
_DEVICE_FOLDER, _DEVICES = Path("/dev"), ("dri/renderD*", "nvidia[0-9]*", "dxg")
# How drivers that compute on the CPU name themselves.
_SOFTWARE_ADAPTERS = ("llvmpipe", "swiftshader")
_BROWSERS = (Path("/usr/lib/chromium"), Path("/opt/google/chrome"))


class GpuTarget(Target):
    """Parity of TFLite files on the GPU alone; latency where there is a graphics card."""

    reference = Optimizations.ON
    has_other_kernels = False

    def __init__(self, option: str = "") -> None:
        """Chooses the precision.

        Args:
            option: `float32`, or empty for the accelerator's own choice.

        Raises:
            SpecError: it is unknown.
        """
        if option and option != _FLOAT32:
            raise unknown_name("precision of the target gpu", option, (_FLOAT32,))
        self._is_float32 = bool(option)
        self.name = f"gpu:{option}" if option else "gpu"
        self.summary = (
            "LiteRT's GPU accelerator without the CPU: a graphics card, or SwiftShader for parity; gpu:float32 for an "
            "app that asks for single precision"
        )
        self._folder = target_folder("gpu") / "vulkan"
        # Known once it was opened: a driver that the user names may be of no card.
        self._is_software = False

    def unavailable(self) -> str | None:
        """See `Target.unavailable`."""
        return not_set_up(self, "Vulkan and SwiftShader are")

    def open(self, bundle: Bundle) -> TargetRun:
        """See `Target.open`."""
        environment = {}
        if not has_card():
            libraries = [str(self._folder), os.environ.get("LD_LIBRARY_PATH", "")]
            environment["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, libraries))
            # The old name of the variable is the one that every loader of Vulkan knows.
            environment["VK_ICD_FILENAMES"] = str(self._folder / _DRIVER_NAME)
        run = GpuRun(self.name, start_here(bundle, self.name, environment), bundle)
        self._is_software = run.is_software
        return run

    def declines(self, artifact: ArtifactRecord) -> str:
        """See `Target.declines`."""
        if artifact.format is not Format.TFLITE:
            return "LiteRT's GPU accelerator only supports TFLite files"
        if artifact.precision is Precision.INT16X8:
            return "LiteRT's GPU accelerator does not support 16-bit integers"
        if artifact.component in (Component.SAMPLER, Component.GENERATOR):
            return (
                "LiteRT's GPU accelerator does not support shifts and exclusive or: use a decoder, and compute its "
                "latent on the CPU"
            )
        return ""

    def runtime(self, artifact: ArtifactRecord) -> str:
        """See `Target.runtime`."""
        return "LiteRT's GPU accelerator"

    def judged(self, bundle: Bundle, artifact: ArtifactRecord) -> ArtifactRecord:
        """See `Target.judged`: a graphics card computes in half precision, a driver without one in single precision."""
        is_half = has_card() and not self._is_software and not self._is_float32
        return judged_in_half_precision(bundle, artifact) if is_half else artifact

    def measures_time(self) -> bool:
        """See `Target.measures_time`: SwiftShader computes on the CPU."""
        return has_card()

    def setup(self) -> tuple[SetupStep, ...]:
        """See `Target.setup`; a graphics card has its own."""
        require_linux(self.name, "elsewhere LiteRT reaches the GPU by Metal and Direct3D, which was not tried")
        if has_card():
            return ()
        return (
            _from_browser(self._folder) if _own_shader() or not chromium.has_package() else _from_npm(self._folder),
        )


class GpuRun(ChannelRun):
    """Files on the accelerator, which says what it computes on."""

    def latency(
        self, artifact: ArtifactRecord, inputs: Mapping[str, Array], *, num_threads: int = 1, count: int = 200
    ) -> Latency:
        """See `TargetRun.latency`.

        Raises:
            TargetError: the driver computes on the CPU after all.
        """
        if self.is_software:
            raise TargetError(
                f"{self._name}: {self._adapter} computes on the CPU, so its latency says nothing about a GPU"
            )
        return super().latency(artifact, inputs, num_threads=num_threads, count=count)

    @property
    def is_software(self) -> bool:
        """Whether the driver computes on the CPU after all."""
        return any(name in self._adapter.lower() for name in _SOFTWARE_ADAPTERS)

    @property
    def _adapter(self) -> str:
        return self.facts().get("adapter", "")


def has_card() -> bool:
    """Whether there are a graphics card and a driver of Vulkan for one, or the user names a driver."""
    if os.environ.get("VK_ICD_FILENAMES") or os.environ.get("VK_DRIVER_FILES"):
        return True
    found = [file for folder in _DRIVER_FOLDERS if folder.is_dir() for file in folder.glob("*.json")]
    has_driver = any(not file.name.startswith(_SOFTWARE) for file in found)
    return has_driver and any(next(_DEVICE_FOLDER.glob(pattern), None) for pattern in _DEVICES)


def _own_shader() -> Path | None:
    return next((folder / _SHADER_FILE for folder in _BROWSERS if (folder / _SHADER_FILE).is_file()), None)


def _from_npm(folder: Path) -> SetupStep:
    """Returns how SwiftShader comes out of an npm package: Debian 12's chromium 156 has none."""

    def make(place: Path) -> None:
        chromium.unpack_swiftshader(place)
        write_text(place / _DRIVER_NAME, _DRIVER)

    text = f"Vulkan's loader and SwiftShader from the npm package {chromium.PACKAGE}"
    return folder_step(folder, text=text, key=chromium.PACKAGE, download_bytes=67_000_000, make=make)


def _from_browser(folder: Path) -> SetupStep:
    """Returns how SwiftShader comes from a browser that is installed, or from Debian's."""
    browser = _own_shader()
    return folder_step(
        folder,
        text="Vulkan's loader"
        + (f", and SwiftShader of {browser.parent}" if browser else " and SwiftShader of chromium, by apt"),
        key=f"{apt.release_codename()} {_LOADER} {browser or _SHADER}",
        download_bytes=200_000 if browser else 90_000_000,
        make=lambda place: _fill(place, browser),
    )


def _fill(folder: Path, browser: Path | None) -> None:
    sources, architecture = apt.machine_sources(), apt.own_architecture()
    library = f"usr/lib/{os.uname().machine}-linux-gnu/libvulkan.so.1"
    apt.unpack_file(folder, _LOADER, library, sources, architecture)
    if browser is None:
        apt.unpack_file(folder, _SHADER, f"usr/lib/chromium/{_SHADER_FILE}", sources, architecture)
    else:
        shutil.copyfile(browser, folder / _SHADER_FILE)
    write_text(folder / _DRIVER_NAME, _DRIVER)
