"""The remote runner in C++ for a phone: compiled with Android's NDK, and the runtimes' libraries that it loads."""

from __future__ import annotations

import contextlib
import io
import os
import platform
import re
import struct
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from pocketvae.benchmarks.remote.scripts import script_bytes
from pocketvae.errors import TargetError
from pocketvae.system.files import sha256_bytes
from pocketvae.system.folders import staged_directory
from pocketvae.system.locks import locked
from pocketvae.system.tools.setup import run_tool

LIBRARIES_VARIABLE = "POCKETVAE_ANDROID_LIBRARIES"
# What a phone's properties call a machine: the NDK's name of it, and the number of it in an ELF file.
ABIS: Mapping[str, tuple[str, int]] = {
    "arm64-v8a": ("aarch64-linux-android", 183),
    "x86_64": ("x86_64-linux-android", 62),
    "armeabi-v7a": ("armv7a-linux-androideabi", 40),
    "x86": ("i686-linux-android", 3),
}
# Android 7, the oldest that LiteRT and onnxruntime support.
_API_LEVEL = 24
_SOURCES = ("runner.cpp", "litert.cpp", "tflite.cpp", "onnxruntime.cpp")
_HEADERS = ("json.h", "arrays.h", "model.h", "captured_stderr.h")
_OPTIONS = ("-std=c++17", "-O2", "-Wall", "-static-libstdc++")
_TIME_LIMIT_S = 300.0


def find_ndk() -> Path:
    """Returns the folder of the NDK's compilers.

    Raises:
        TargetError: it is not installed, or not made for this machine.
    """
    named = os.environ.get("ANDROID_NDK_HOME") or os.environ.get("ANDROID_NDK_ROOT")
    home = os.environ.get("ANDROID_HOME") or os.environ.get("ANDROID_SDK_ROOT")
    installed = [path for path in (Path(home) / "ndk").glob("*") if path.is_dir()] if home else []
    folder = Path(named) if named else max(installed, key=_version, default=None)
    if folder is None:
        raise TargetError("Android's NDK is not installed: install it, and set ANDROID_NDK_HOME to its folder")
    # The NDK for macOS is named x86_64 on every Mac.
    system = {"linux": "linux-x86_64", "darwin": "darwin-x86_64", "win32": "windows-x86_64"}.get(sys.platform, "")
    compilers = folder / "toolchains/llvm/prebuilt" / system / "bin"
    if not system or not compilers.is_dir():
        here = f"{platform.system()} {platform.machine()}"
        raise TargetError(
            f"ANDROID_NDK_HOME must be the folder of an NDK for {here}, got {folder}: {compilers} is missing"
        )
    return compilers


def compile_runner(cache: Path, compilers: Path, abi: str) -> Path:
    """Returns the program for a phone; it is compiled once.

    Args:
        cache: The folder that keeps it.
        compilers: Of the NDK.
        abi: One of `ABIS`.

    Raises:
        TargetError: it cannot be compiled.
    """
    sources = {name: script_bytes(f"native/{name}") for name in (*_SOURCES, *_HEADERS)}
    compiler = compilers / f"{ABIS[abi][0]}{_API_LEVEL}-clang++{'.cmd' if sys.platform == 'win32' else ''}"
    key = sha256_bytes(b"".join([*sources.values(), str(compiler).encode(), repr(_OPTIONS).encode()]))[:16]
    folder = cache / f"runner-{abi}-{key}"
    with _making_once(folder) as is_missing:
        if is_missing:
            with staged_directory(folder, force=True) as staging:
                for name, content in sources.items():
                    (staging / name).write_bytes(content)
                command = [str(compiler), *_OPTIONS, *_SOURCES, "-o", "runner", "-ldl"]
                run_tool(command, "compiling the runner", cwd=staging, time_limit_s=_TIME_LIMIT_S)
    return folder / "runner"


@contextlib.contextmanager
def _making_once(folder: Path) -> Iterator[bool]:
    """Yields whether a folder is missing, while no other thread or process makes one beside it: phones share them."""
    if folder.is_dir():
        yield False
        return
    turns = folder.parent / "making"
    turns.mkdir(parents=True, exist_ok=True)
    with locked(turns, wait=True):
        yield not folder.is_dir()


def named_libraries() -> tuple[Path, ...]:
    """Returns the AARs and folders of libraries that the user names.

    Raises:
        TargetError: none are named, or one does not exist.
    """
    named = tuple(Path(word) for word in os.environ.get(LIBRARIES_VARIABLE, "").split(os.pathsep) if word)
    if not named:
        raise TargetError(
            f"set {LIBRARIES_VARIABLE} to the AARs of LiteRT and onnxruntime for Android, or to folders with their .so "
            f"files, separated by {os.pathsep!r}"
        )
    lost = next((path for path in named if not path.exists()), None)
    if lost is not None:
        raise TargetError(f"{LIBRARIES_VARIABLE} names {lost}, which does not exist")
    return named


def find_libraries(cache: Path, abi: str) -> tuple[Path, ...]:
    """Returns the shared libraries for a phone, unpacked where they come in an AAR.

    Args:
        cache: The folder that keeps what is unpacked.
        abi: One of `ABIS`.

    Raises:
        TargetError: what is named does not have any for this phone, or they are for another machine.
    """
    named = named_libraries()
    found = {path.name: path for source in named for path in _libraries_in(source, cache, abi)}
    if not found:
        raise TargetError(f"{LIBRARIES_VARIABLE} has no libraries for {abi}: {', '.join(map(str, named))}")
    return tuple(found[name] for name in sorted(found))


def _libraries_in(source: Path, cache: Path, abi: str) -> list[Path]:
    if source.is_dir():
        folder = next((part for part in (source / abi, source / "jni" / abi) if part.is_dir()), source)
        paths = sorted(folder.glob("*.so"))
        for path in paths:
            _check_machine(path, abi)
        return paths
    return _unpacked(source, cache, abi)


def _unpacked(archive: Path, cache: Path, abi: str) -> list[Path]:
    try:
        content = archive.read_bytes()
        folder = cache / f"libraries-{abi}-{sha256_bytes(content)[:16]}"
        with _making_once(folder) as is_missing:
            if is_missing:
                _unpack(content, folder, abi)
    except zipfile.BadZipFile as e:
        raise TargetError(f"{archive} is not an AAR: {e}") from e
    return sorted(folder.glob("*.so"))


def _unpack(content: bytes, folder: Path, abi: str) -> None:
    with zipfile.ZipFile(io.BytesIO(content)) as files, staged_directory(folder, force=True) as staging:
        for name in files.namelist():
            if re.fullmatch(rf"jni/{re.escape(abi)}/[^/\\]+\.so", name):
                (staging / name.rpartition("/")[2]).write_bytes(files.read(name))


def _check_machine(path: Path, abi: str) -> None:
    with path.open("rb") as file:
        head = file.read(20)
    if len(head) < 20 or head[:4] != b"\x7fELF":
        raise TargetError(f"{path} is not a shared library for Android")
    machine = struct.unpack_from("<H", head, 18)[0]
    if machine != ABIS[abi][1]:
        known = next((name for name, (_, number) in ABIS.items() if number == machine), f"machine {machine}")
        raise TargetError(f"{path} is for {known}, but the phone needs {abi}")


def _version(folder: Path) -> tuple[int, ...]:
    return tuple(int(word) for word in re.findall(r"\d+", folder.name))
