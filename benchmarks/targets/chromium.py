"""The target `chromium`: a browser with LiteRT.js and onnxruntime-web, on WebAssembly or WebGPU."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping

from pocketvae.benchmarks.execution.protocol import TargetRun
from pocketvae.benchmarks.execution.running import Latency
from pocketvae.benchmarks.execution.target import Target
from pocketvae.benchmarks.remote.browser import Browser
from pocketvae.benchmarks.remote.scripts import ScriptRun
from pocketvae.bundle.bundle import Bundle
from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.errors import TargetError, unknown_name
from pocketvae.runtimes.base import Array
from pocketvae.spec import Format, Precision
from pocketvae.system.tools import npm
from pocketvae.system.tools.chromium import PROGRAMS, browser_step, find_chromium
from pocketvae.system.tools.npm import LITERT_JS_VERSION, ONNXRUNTIME_WEB_VERSION
from pocketvae.system.tools.setup import SetupStep, folder_step, named_program, target_folder

_PACKAGES = (
    f"@litertjs/core@{LITERT_JS_VERSION}",
    f"@litertjs/wasm-utils@{LITERT_JS_VERSION}",
    f"onnxruntime-web@{ONNXRUNTIME_WEB_VERSION}",
)
_UNWANTED = ("node_modules/onnxruntime-web/dist/*.map", "node_modules/onnxruntime-web/dist/*.jsep.*")
_VARIABLE = "POCKETVAE_CHROMIUM"
_OPTIONS = ("wasm", "webgpu", "headed")
_QUIET = (
    "--disable-background-networking",
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-renderer-backgrounding",
    "--disable-sync",
    "--no-default-browser-check",
    "--no-first-run",
    "--password-store=basic",
)
# SwiftShader is WebGPU on the processor: right for parity, where there is a graphics card or none.
_SWIFTSHADER = (
    "--enable-unsafe-webgpu",
    "--use-webgpu-adapter=swiftshader",
    "--enable-features=Vulkan",
    "--use-angle=swiftshader",
)


class ChromiumTarget(Target):
    """Parity in the browser, and latency with WebAssembly."""

    def __init__(self, option: str = "") -> None:
        """Chooses how artifacts run.

        Args:
            option: `wasm` (the default) or `webgpu`, and `headed` to watch, joined by `+`.

        Raises:
            SpecError: a word is unknown.
        """
        words = option.split("+") if option else []
        for word in words:
            if word not in _OPTIONS:
                raise unknown_name("option of chromium", word, _OPTIONS)
        self._webgpu, self._headed = "webgpu" in words, "headed" in words
        self.name = "chromium:webgpu" if self._webgpu else "chromium"
        self.summary = "a browser with LiteRT.js and onnxruntime-web; chromium:webgpu for parity on WebGPU"
        self._folder = target_folder("chromium") / "packages"

    def unavailable(self) -> str | None:
        """See `Target.unavailable`."""
        try:
            _program()
        except TargetError as e:
            return str(e)
        if not all(step.is_done() for step in self.setup()):
            return "LiteRT.js and onnxruntime-web are not set up: run pocketvae targets setup chromium"
        if (
            self._headed
            and sys.platform == "linux"
            and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
        ):
            return "the browser cannot be shown without a display: leave out --headed"
        return None

    def open(self, bundle: Bundle) -> TargetRun:
        """See `Target.open`."""
        program = _program()
        artifacts = {artifact.file.path: bundle.artifact_path(artifact) for artifact in bundle.manifest.artifacts}
        browser = Browser([program, *self._flags()], self._folder / "node_modules", artifacts)
        return ChromiumRun(self.name, browser, bundle, accelerator="webgpu" if self._webgpu else "cpu")

    def declines(self, artifact: ArtifactRecord) -> str:
        """See `Target.declines`."""
        if artifact.format is Format.TFLITE and artifact.precision is Precision.INT8_IO:
            return "LiteRT.js does not support int8 inputs and outputs: use the int8 file, whose interface is float32"
        return ""

    def runtime(self, artifact: ArtifactRecord) -> str:
        """See `Target.runtime`."""
        if not self._webgpu:
            return f"{self._package(artifact)}'s WebAssembly"
        if artifact.format is Format.TFLITE:
            return f"{self._package(artifact)}'s WebGPU delegate"
        return f"{self._package(artifact)}'s WebGPU provider"

    def measures_time(self) -> bool:
        """See `Target.measures_time`; WebGPU runs on the processor here."""
        return not self._webgpu

    def setup(self) -> tuple[SetupStep, ...]:
        """See `Target.setup`."""
        packages = folder_step(
            self._folder,
            text=f"the npm packages {', '.join(_PACKAGES)}",
            key=" ".join(_PACKAGES),
            download_bytes=45_000_000,
            make=lambda folder: npm.install(folder, _PACKAGES, unwanted=_UNWANTED),
        )
        browser = None if named_program(_VARIABLE) else browser_step()
        return (packages, browser) if browser else (packages,)

    def _flags(self) -> list[str]:
        flags = [*_QUIET, *(() if self._headed else ("--headless=new",)), *(_SWIFTSHADER if self._webgpu else ())]
        # Chromium has no sandbox for root, the user of most containers.
        return [*flags, *(("--no-sandbox",) if sys.platform != "win32" and os.geteuid() == 0 else ())]

    def _package(self, artifact: ArtifactRecord) -> str:
        name = "@litertjs/core" if artifact.format is Format.TFLITE else "onnxruntime-web"
        shown = "LiteRT.js" if artifact.format is Format.TFLITE else name
        try:
            package = json.loads((self._folder / "node_modules" / name / "package.json").read_text("utf-8"))
        except (OSError, ValueError):
            return shown
        return f"{shown} {package['version']}"


class ChromiumRun(ScriptRun):
    """A browser that shows the page of a bundle."""

    def location(self, artifact: ArtifactRecord) -> str:
        """See `ScriptRun.location`: the name on the page's server."""
        return artifact.file.path

    def latency(
        self, artifact: ArtifactRecord, inputs: Mapping[str, Array], *, num_threads: int = 1, count: int = 200
    ) -> Latency:
        """See `TargetRun.latency`.

        Raises:
            TargetError: on WebGPU, which is emulated.
        """
        if self._accelerator == "webgpu":
            raise TargetError(
                f"{self._name}: WebGPU is emulated on the CPU, so its latency says nothing about a device"
            )
        return super().latency(artifact, inputs, num_threads=num_threads, count=count)


def _program() -> str:
    """Returns the browser.

    Raises:
        TargetError: there is none.
    """
    program = named_program(_VARIABLE) or find_chromium()
    if program is None:
        own = "run pocketvae targets setup chromium, " if browser_step() else ""
        raise TargetError(
            f"no browser is installed: {own}install one of {', '.join(PROGRAMS)}, or set {_VARIABLE} to the path of one"
        )
    return program
