"""Swift's compiler front end from Debian 13, for Debian and its kin of any version: `make swift` sets it up.

The packages come from the mirror that apt is configured with and are checked by apt; nothing is installed. Only what
checks types is unpacked, 330 MB of 2.2 GB, with the C library that it was built for.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from pocketvae.system.cache import cache_folder

VERSION, RELEASE = "6.0.3-2", "trixie"
_COMPILER, _LIBRARY = f"swiftlang={VERSION}", f"libswiftlang={VERSION}"
# Of the compiler: itself, its modules for Linux, and clang's headers.
_WANTED = ("*/bin/swift-frontend", "*/lib/swift/*", "*/lib/clang/*/include/*")
_UNWANTED = ("*/lib/swift/embedded/*", "*/host/*.swiftmodule", "*/host/lib_*", "*.abi.json", "*.swiftdoc")
_LIMIT_S = 600
# As Debian names it: the front end takes "unknown" for its vendor, and then finds no module.
_TARGET = "x86_64-pc-linux-gnu"


class NoCompilerError(Exception):
    """The compiler cannot be had here; the message says why."""


def home() -> Path:
    """Returns where the compiler lies, whether it is there or not."""
    return cache_folder() / f"swift-{VERSION}"


def command() -> list[str]:
    """Returns the words that start the front end.

    Raises:
        NoCompilerError: it was not set up.
    """
    if (program := shutil.which("swiftc")) is not None:
        return [program, "-frontend"]
    if not home().is_dir():
        raise NoCompilerError("swiftc is not installed, and `make swift` was not run")
    root, swift = home(), home() / "usr/libexec/swift"
    libraries = [root / "usr/lib/x86_64-linux-gnu", swift / "lib/swift/linux", swift / "lib/swift/host"]
    libraries += [Path("/usr/lib/x86_64-linux-gnu")]
    loader = root / "usr/lib64/ld-linux-x86-64.so.2"
    # Started by a loader of its own the program does not know where it lies.
    resources = ["-resource-dir", str(swift / "lib/swift"), "-target", _TARGET]
    program = swift / "bin/swift-frontend"
    return [str(loader), "--library-path", ":".join(map(str, libraries)), str(program), "-frontend", *resources]


def set_up() -> None:
    """Downloads and unpacks the compiler where it is missing.

    Raises:
        NoCompilerError: there is no apt, no mirror, or no such package.
    """
    if home().is_dir() or shutil.which("swiftc") is not None:
        return
    if shutil.which("apt-get") is None:
        raise NoCompilerError("the system has no apt-get")
    home().parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home().parent) as scratch:
        folder = Path(scratch)
        _download(folder)
        root = folder / "root"
        root.mkdir()
        for package in sorted(folder.glob("*.deb")):
            _unpack(package, root)
        root.rename(home())


def _download(folder: Path) -> None:
    (folder / "lists/partial").mkdir(parents=True)
    (folder / "sources.list").write_text(f"deb {_mirror()} {RELEASE} main\n", "utf-8")
    places = {
        "Dir::Etc::SourceList": folder / "sources.list",
        "Dir::Etc::SourceParts": "-",
        "Dir::State": folder,
        "Dir::State::Lists": folder / "lists",
        "Dir::State::Status": "/dev/null",
        "Dir::Cache": folder / "cache",
    }
    options = [word for name, place in places.items() for word in ("-o", f"{name}={place}")]
    options += ["-o", "Acquire::Languages=none", "-o", "APT::Sandbox::User="]
    _run(["apt-get", "-qq", *options, "update"], folder)
    _run(["apt-get", "-qq", *options, "download", _COMPILER, _LIBRARY, "libc6", "libstdc++6", "libgcc-s1"], folder)


def _mirror() -> str:
    """Returns the address of the archive that apt is configured with."""
    listed = _run(["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"], Path.cwd())
    found = [line for line in listed.splitlines() if line.rstrip("/").endswith("/debian")]
    if not found:
        raise NoCompilerError("apt is not configured with an archive of Debian")
    return found[0]


def _unpack(package: Path, root: Path) -> None:
    chosen = ["--wildcards", *(f"--exclude={name}" for name in _UNWANTED), *_WANTED]
    pipe = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE)
    is_compiler = package.name.startswith("swiftlang")
    _run(["tar", "-x", "-C", str(root), *(chosen if is_compiler else [])], root, stdin=pipe.stdout)
    if pipe.wait(_LIMIT_S):
        raise NoCompilerError(f"{package.name} cannot be unpacked")


def _run(words: list[str], folder: Path, **options: object) -> str:
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=_LIMIT_S, **options)  # type: ignore[call-overload]
    if done.returncode:
        raise NoCompilerError(f"{words[0]} failed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    return str(done.stdout)


if __name__ == "__main__":
    try:
        set_up()
    except (NoCompilerError, OSError, subprocess.SubprocessError) as e:
        sys.exit(f"Swift's compiler cannot be set up: {e}")
