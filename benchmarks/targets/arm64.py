"""The target `arm64`: user-mode emulation of 64-bit ARM, with the same Python, LiteRT and onnxruntime as here."""

from __future__ import annotations

import os
import re
import shutil
from importlib import metadata
from pathlib import Path

from pocketvae.benchmarks.execution.protocol import TargetRun
from pocketvae.benchmarks.execution.running import Latency
from pocketvae.benchmarks.execution.target import Target, require_linux
from pocketvae.benchmarks.remote.channel import ChannelRun
from pocketvae.benchmarks.remote.wheel import WHEEL_NAME, wheel_bytes
from pocketvae.bundle.bundle import Bundle
from pocketvae.errors import TargetError, missing_package, unknown_name
from pocketvae.processes.line_process import LineProcess
from pocketvae.system.files import write_bytes
from pocketvae.system.temporary import TemporaryFolder
from pocketvae.system.tools import apt
from pocketvae.system.tools.pip import unpack_foreign
from pocketvae.system.tools.setup import SetupStep, folder_step, named_program, run_tool, target_folder

# cortex-a53 has no dot products (Raspberry Pi 3), cortex-a76 has them (Raspberry Pi 5), max has i8mm and SME too.
CPUS = ("cortex-a53", "cortex-a76", "max")
_DEFAULT_CPU = "cortex-a76"
# QEMU 7.2 computes int8 garbage with -cpu max and shows the processor of the machine it runs on.
_OLDEST_QEMU = 10
_VERSION_TIME_LIMIT_S = 60.0
# The first Debian release with such a QEMU.
_QEMU_RELEASE = "trixie"
_ROOT_PACKAGES = ("python3", "libstdc++6", "libgomp1")
_MERGED = ("bin", "lib", "sbin")
_WHEELS = ("ai-edge-litert", "numpy", "onnxruntime", "pydantic", "safetensors")


class Arm64Target(Target):
    """Parity with ARM kernels; emulated latency says nothing about a device and is never measured."""

    def __init__(self, option: str = "") -> None:
        """Chooses the processor.

        Args:
            option: One of `CPUS`.

        Raises:
            SpecError: it is unknown.
        """
        if option and option not in CPUS:
            raise unknown_name("processor", option, CPUS)
        self._cpu = option or _DEFAULT_CPU
        self.name = f"arm64:{option}" if option else "arm64"
        self.summary = f"64-bit ARM ({', '.join(CPUS)}), emulated by QEMU: parity only"
        self._folder = target_folder("arm64")

    def unavailable(self) -> str | None:
        """See `Target.unavailable`."""
        try:
            if not all(step.is_done() for step in self.setup()):
                return "the emulated machine is not set up: run pocketvae targets setup arm64"
            check_qemu(self._qemu())
        except TargetError as e:
            return str(e)
        return None

    def open(self, bundle: Bundle) -> TargetRun:
        """See `Target.open`."""
        qemu = self._qemu()
        version = check_qemu(qemu)
        folder = TemporaryFolder()
        try:
            write_bytes(folder.path / WHEEL_NAME, wheel_bytes())
            return Arm64Run(self.name, self._process(qemu, folder.path, bundle), bundle, folder, self._cpu, version)
        except BaseException:
            folder.remove()
            raise

    def measures_time(self) -> bool:
        """See `Target.measures_time`."""
        return False

    def setup(self) -> tuple[SetupStep, ...]:
        """See `Target.setup`."""
        require_linux(self.name, "QEMU emulates single programs there alone")
        requirements = own_requirements()
        steps = (
            folder_step(
                self._folder / "root",
                text="Python for ARM with its libraries, some 40 packages, by apt",
                key=f"{apt.release_codename()} {' '.join(_ROOT_PACKAGES)}",
                download_bytes=28_000_000,
                make=self._make_root,
            ),
            folder_step(
                self._folder / "site",
                text=f"ARM wheels of {', '.join(requirements)}, and what they need, by pip",
                key=f"{apt.release_codename()} {' '.join(requirements)}",
                download_bytes=57_000_000,
                make=lambda folder: unpack_foreign(
                    folder, requirements, machine="aarch64", python=root_python(self._folder / "root").name[6:]
                ),
            ),
        )
        return steps if _own_qemu() else (self._qemu_step(), *steps)

    def _qemu_step(self) -> SetupStep:
        return folder_step(
            self._folder / "qemu",
            text=f"QEMU's user-mode emulator of Debian {_QEMU_RELEASE}, by apt",
            key=_QEMU_RELEASE,
            download_bytes=81_000_000,
            make=lambda folder: apt.unpack_file(
                folder,
                "qemu-user",
                "usr/bin/qemu-aarch64",
                apt.of_release(apt.machine_sources(), _QEMU_RELEASE),
                apt.own_architecture(),
            ),
        )

    def _make_root(self, folder: Path) -> None:
        apt.unpack_packages(folder, _ROOT_PACKAGES, apt.machine_sources(), "arm64")
        link_merged(folder)
        command = (str(self._qemu()), "-L", str(folder), str(root_python(folder)), "--version")
        run_tool(command, "starting Python for ARM", time_limit_s=_VERSION_TIME_LIMIT_S)

    def _qemu(self) -> Path:
        return _own_qemu() or self._folder / "qemu/qemu-aarch64"

    def _process(self, qemu: Path, folder: Path, bundle: Bundle) -> LineProcess:
        root = self._folder / "root"
        command = [str(qemu), "-cpu", self._cpu, "-L", str(root), str(root_python(root))]
        paths = (folder / WHEEL_NAME, self._folder / "site")
        environment = {"PYTHONPATH": os.pathsep.join(map(str, paths)), "PYTHONSAFEPATH": "1", "PYTHONNOUSERSITE": "1"}
        program = ["-m", "pocketvae.benchmarks.remote.serve", str(bundle.path.absolute())]
        return LineProcess([*command, *program], environment=environment)


class Arm64Run(ChannelRun):
    """An emulated process, and the folder with the wheel that it imports."""

    def __init__(
        self, name: str, process: LineProcess, bundle: Bundle, folder: TemporaryFolder, cpu: str, qemu: str
    ) -> None:
        """Starts the process.

        Raises:
            TargetError: it does not start.
        """
        self._folder = folder
        super().__init__(name, process, bundle)
        self._facts = {**self._facts, "cpu": cpu, "emulator": f"QEMU {qemu}"}

    def latency(self, *arguments: object, **options: object) -> Latency:
        """Refuses.

        Raises:
            TargetError: always.
        """
        raise TargetError(f"{self._name}: emulated latency says nothing about a device, so it is not measured")

    def close(self) -> None:
        """See `TargetRun.close`."""
        super().close()
        self._folder.remove()


def own_requirements() -> tuple[str, ...]:
    """Returns the packages that run artifacts, in the versions of this machine, so that only the processor differs.

    Raises:
        TargetError: one is missing here.
    """
    try:
        return tuple(f"{name}=={metadata.version(name)}" for name in _WHEELS)
    except metadata.PackageNotFoundError as e:
        raise missing_package(str(e.name), "run") from e


def check_qemu(qemu: Path) -> str:
    """Returns the version of an emulator that computes rightly.

    Raises:
        TargetError: it is too old, or does not run.
    """
    words = run_tool((str(qemu), "--version"), "asking QEMU for its version", time_limit_s=_VERSION_TIME_LIMIT_S)
    match = re.search(r"version (\d+)[.\d]*", words)
    if not match:
        raise TargetError(f"{qemu} does not say which version it is: {words.splitlines()[:1]}")
    if int(match[1]) < _OLDEST_QEMU:
        raise TargetError(
            f"{qemu} is QEMU {match[0][8:]}, which is known to compute int8 wrongly: {_OLDEST_QEMU} or newer is needed"
        )
    return match[0][8:]


def link_merged(root: Path) -> None:
    """Adds the links of a system root whose programs and libraries all lie in `usr`, as from Debian 13 on.

    They are in a package that none depends on; every program names its loader by the link.
    """
    for name in _MERGED:
        if not (root / name).exists() and (root / "usr" / name).is_dir():
            (root / name).symlink_to(f"usr/{name}")


def root_python(root: Path) -> Path:
    """Returns the interpreter in a system root.

    Raises:
        TargetError: there is none.
    """
    found = sorted(root.glob("usr/bin/python3.*[0-9]"))
    if not found:
        raise TargetError(f"{root} has no Python: run pocketvae targets remove arm64, then setup arm64")
    return found[-1]


def _own_qemu() -> Path | None:
    """Returns the emulator that the user names, or one of the machine's that is new enough.

    Raises:
        TargetError: what the user names cannot be run.
    """
    named = named_program("POCKETVAE_QEMU")
    if named is not None:
        return Path(named)
    for name in ("qemu-aarch64", "qemu-aarch64-static"):
        found = shutil.which(name)
        if found:
            try:
                check_qemu(Path(found))
            except TargetError:
                continue
            return Path(found)
    return None
