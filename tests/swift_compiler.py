"""Swift's compiler front end from Debian 13, for any Debian: `make swift` sets it up.

Nothing is installed. Only what checks types is unpacked, 330 MB of 2.2 GB, with the C library that it was built for.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from pocketvae.errors import TargetError
from pocketvae.system.cache import cache_folder
from pocketvae.system.tools import apt

VERSION, RELEASE = "6.0.3-2", "trixie"
_PACKAGES = (f"swiftlang={VERSION}", f"libswiftlang={VERSION}", "libc6", "libstdc++6", "libgcc-s1")
# Of the compiler: itself, its modules for Linux, and clang's headers.
_WANTED = ("*/bin/swift-frontend", "*/lib/swift/*", "*/lib/clang/*/include/*")
_UNWANTED = ("*/lib/swift/embedded/*", "*/host/*.swiftmodule", "*/host/lib_*", "*.abi.json", "*.swiftdoc")
_LIMIT_S = 600
# As Debian names it: the front end takes "unknown" for its vendor, and then finds no module.
_TARGET = "x86_64-pc-linux-gnu"


def home() -> Path:
    """Returns where the compiler lies, whether it is there or not."""
    return cache_folder() / f"swift-{VERSION}"


def command() -> list[str]:
    """Returns the words that start the front end.

    Raises:
        TargetError: it was not set up.
    """
    if (program := shutil.which("swiftc")) is not None:
        return [program, "-frontend"]
    root, swift = home(), home() / "usr/libexec/swift"
    if not root.is_dir():
        raise TargetError("swiftc is not installed, and `make swift` was not run")
    libraries = [root / "usr/lib/x86_64-linux-gnu", swift / "lib/swift/linux", swift / "lib/swift/host"]
    libraries += [Path("/usr/lib/x86_64-linux-gnu")]
    # Started by a loader of its own the program does not know where it lies.
    resources = ["-resource-dir", str(swift / "lib/swift"), "-target", _TARGET]
    loader, program = root / "usr/lib64/ld-linux-x86-64.so.2", swift / "bin/swift-frontend"
    return [str(loader), "--library-path", ":".join(map(str, libraries)), str(program), "-frontend", *resources]


def set_up() -> None:
    """Downloads and unpacks the compiler where it is missing.

    Raises:
        TargetError: this is not Debian, or the packages cannot be had.
    """
    if home().is_dir() or shutil.which("swiftc") is not None:
        return
    sources = apt.of_release(apt.machine_sources(), RELEASE)
    home().parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home().parent) as scratch:
        root = Path(scratch) / "root"
        root.mkdir()
        for archive in apt.download_packages(Path(scratch), _PACKAGES, sources, apt.own_architecture()):
            _unpack(archive, root)
        root.rename(home())


def _unpack(archive: Path, root: Path) -> None:
    is_compiler = archive.name.startswith("swiftlang")
    chosen = ["--wildcards", *(f"--exclude={name}" for name in _UNWANTED), *_WANTED] if is_compiler else []
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(archive)], stdout=subprocess.PIPE) as whole:
        subprocess.run(["tar", "-x", "-C", str(root), *chosen], stdin=whole.stdout, check=True, timeout=_LIMIT_S)


if __name__ == "__main__":
    try:
        set_up()
    except (TargetError, OSError, subprocess.SubprocessError) as e:
        sys.exit(f"Swift's compiler cannot be set up: {e}")
