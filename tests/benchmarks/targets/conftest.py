"""A phone that is a folder of this machine, with a runner that g++ has really compiled."""

import importlib.util
import json
import platform
import shutil
import sys
from pathlib import Path

import pytest

ADB = Path(__file__).parents[2] / "scripted_adb.py"
PROPERTIES = {
    "ro.product.cpu.abilist": "x86_64,x86",
    "ro.product.manufacturer": "Tests",
    "ro.product.model": "Folder 1",
    "ro.soc.model": "T1000",
    "ro.build.version.release": "14",
}
THERMAL = """IsStatusOverride: false
ThermalEventListeners:
Thermal Status: 0
Current temperatures from HAL:
\tTemperature{mValue=41.5, mType=0, mName=CPU0, mStatus=0}
\tTemperature{mValue=31.25, mType=3, mName=skin, mStatus=0}
"""


class Phone:
    """The folder behind scripted_adb.py."""

    def __init__(self, folder):
        self.folder, self.serial = folder, "R3TEST0001"
        for name in ("phone/data/local/tmp", "programs"):
            (folder / name).mkdir(parents=True)
        self.connect({self.serial: "device"})
        self.program("adb", f'exec "{sys.executable}" -I -S "{ADB}" "$@"')
        self.set_properties({})
        self.program("dumpsys", f"cat <<'END'\n{THERMAL}END")
        self.add_cores({0: (1_800_000, 1_800_000), 1: (2_400_000, 2_400_000)})

    def program(self, name, script):
        path = self.folder / "programs" / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    def set_properties(self, changed):
        cases = "\n".join(f"{name}) echo '{value}';;" for name, value in {**PROPERTIES, **changed}.items())
        self.program("getprop", f'case "$1" in\n{cases}\n*) echo;;\nesac')

    def add_cores(self, cores):
        for number, (highest, allowed) in cores.items():
            folder = self.folder / f"phone/sys/devices/system/cpu/cpu{number}/cpufreq"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "cpuinfo_max_freq").write_text(f"{highest}\n")
            (folder / "scaling_max_freq").write_text(f"{allowed}\n")

    def connect(self, states):
        (self.folder / "devices").write_text("".join(f"{serial}\t{state}\n" for serial, state in states.items()))

    def fail(self, **faults):
        (self.folder / "faults.json").write_text(json.dumps(faults))

    @property
    def calls(self):
        return [json.loads(line) for line in (self.folder / "log").read_text().splitlines()]

    def left_over(self):
        return list((self.folder / "phone/data/local/tmp").iterdir())


@pytest.fixture(scope="session")
def phone_parts(tmp_path_factory):
    """An NDK whose compiler is g++, the runtimes' libraries of this machine, and a cache that keeps the runner."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        pytest.skip("the runner is only compiled here on Linux, x86-64")
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    folder = tmp_path_factory.mktemp("android")
    compilers = folder / "ndk/toolchains/llvm/prebuilt/linux-x86_64/bin"
    compilers.mkdir(parents=True)
    compiler = compilers / "x86_64-linux-android24-clang++"
    compiler.write_text('#!/bin/sh\nexec g++ "$@" -O0\n')
    compiler.chmod(0o755)
    libraries = folder / "libraries/x86_64"
    libraries.mkdir(parents=True)
    for name, package, pattern in (
        ("libLiteRt.so", "ai_edge_litert", "libLiteRt.so"),
        ("libonnxruntime.so", "onnxruntime", "capi/libonnxruntime.so*"),
    ):
        origin = Path(importlib.util.find_spec(package).origin).parent
        source = next(origin.glob(pattern), None)
        if source is not None:
            Path(libraries / name).symlink_to(source)
    return folder


@pytest.fixture
def phone(tmp_path, phone_parts, monkeypatch):
    """The only phone that is connected."""
    made = Phone(tmp_path / "adb")
    monkeypatch.setenv("SCRIPTED_ADB", str(made.folder))
    monkeypatch.setenv("POCKETVAE_ADB", str(made.folder / "programs/adb"))
    monkeypatch.setenv("POCKETVAE_CACHE", str(phone_parts / "cache"))
    monkeypatch.setenv("ANDROID_NDK_HOME", str(phone_parts / "ndk"))
    monkeypatch.setenv("POCKETVAE_ANDROID_LIBRARIES", str(phone_parts / "libraries"))
    return made
