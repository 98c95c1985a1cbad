"""What goes into the package, and what its users may rely on."""

import io
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pocketvae.spec import Format

ROOT = Path(__file__).parents[2]
ROOMS = ("core", "cli", "train", "export", "benchmarks", "apps", "distil", "udf")


def installed_packages():
    """Returns the packages that this pocketvae was installed with, by their import names."""
    import pocketvae

    root = Path(pocketvae.__file__).parent
    return {".".join(("pocketvae", *init.parent.relative_to(root).parts)) for init in root.rglob("__init__.py")}


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_every_folder_of_source_is_a_package():
    folders = {
        str(file.parent.relative_to(ROOT))
        for room in ROOMS
        for file in (ROOT / room).rglob("*.py")
        if "__pycache__" not in file.parts
    }
    assert {folder for folder in folders if not (ROOT / folder / "__init__.py").is_file()} == set()
    found = {"/".join(("core", *name.split(".")[1:])) for name in installed_packages()}
    assert found == {folder if folder.startswith("core") else f"core/{folder}" for folder in folders}


def test_every_folder_at_the_top_is_known():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    tops = {line.split("/")[0] for line in listed.stdout.splitlines() if "/" in line}
    assert tops <= {*ROOMS, "tests", "docs", "studies", "findings", ".ci", ".github"}


def test_constraints_are_plain_pins_without_addresses():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!-]+", pin) for pin in pins)
    assert "://" not in "\n".join(lines)
    assert len({pin.split("==")[0].lower() for pin in pins}) == len(pins)


def pinned_names():
    """Returns the names in constraints.txt as package indexes compare them: lower case, dashes."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return {canonicalize_name(line.split("==")[0]) for line in lines if "==" in line}


def test_every_dependency_is_pinned(project):
    declared = [*project["project"]["dependencies"]]
    for extra in project["project"]["optional-dependencies"].values():
        declared += extra
    assert {canonicalize_name(Requirement(line).name) for line in declared} - {"pocketvae"} <= pinned_names()


def test_what_the_dependencies_need_is_pinned_too():
    # make installs setuptools and wheel before anything else, to build with.
    assert {"setuptools", "wheel", *needed_by("pocketvae", {"all", "dev"})} - pinned_names() == set()


def needed_by(package, extras):
    """Returns every package that an installed one needs on this system, whatever needs it."""
    found, seen, todo = set(), set(), [(package, frozenset(extras))]
    while todo:
        name, chosen = todo.pop()
        seen.add((name, chosen))
        for line in metadata.requires(name) or []:
            needed = Requirement(line)
            wanted = needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in {"", *chosen})
            step = (canonicalize_name(needed.name), frozenset(needed.extras))
            if wanted and step not in seen:
                todo.append(step)
                found.add(step[0])
    return found - {package}


def test_the_constraints_are_what_is_installed():
    different = []
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        name, equals, pinned = line.partition("==")
        if not equals:
            continue
        try:
            installed = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
        if installed != pinned:
            different.append(f"{name}: {installed} is installed, {pinned} is pinned")
    assert different == []


HEAVY = ("tensorflow", "tf_keras", "keras", "onnx", "tf2onnx", "matplotlib")
# What imports neither numpy nor a runtime: the price of every call of the command.
FEATHERWEIGHT = (*HEAVY, "numpy", "pydantic", "ai_edge_litert", "onnxruntime", "PIL")


def imported_after(*steps, tmp_path):
    """Runs pieces of code in a fresh interpreter, and returns the top-level modules that are imported after each."""
    look = "print('\\nMODULES', *sorted({name.split('.')[0] for name in sys.modules}))"
    script = "\n".join(["import sys", *(f"{code}\n{look}" for code in steps)])
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    found = [set(line.split()[1:]) for line in done.stdout.splitlines() if line.startswith("MODULES ")]
    assert len(found) == len(steps)
    return found


def run_command(*words):
    return (
        f"from pocketvae.cli.main import main\ncode = main({[str(word) for word in words]!r})\nassert code == 0, code"
    )


def test_importing_pocketvae_and_its_help_import_nothing_else(tmp_path):
    shown = "from pocketvae.cli.main import build_parser\nbuild_parser(None).format_help()"
    alone, helped = imported_after("import pocketvae", shown, tmp_path=tmp_path)
    assert alone.isdisjoint(FEATHERWEIGHT)
    assert helped.isdisjoint(FEATHERWEIGHT)


def test_commands_for_devices_never_import_tensorflow(tmp_path, bundles):
    bundle = bundles.make_bundle(tmp_path / "b")
    lines = (("inspect", bundle), ("verify", bundle), ("bench", bundle, "--no-original"))
    found = imported_after(*(run_command(*words) for words in lines), tmp_path=tmp_path)
    assert "numpy" in found[0]
    for words, modules in zip(lines, found, strict=True):
        assert modules.isdisjoint(HEAVY), words


def test_commands_for_one_file_never_import_tensorflow(tmp_path, bundles, lone_files):
    weight = bundles.right_weight()
    content = bundles.decoder_model(weight).SerializeToString()
    path = tmp_path / "decoder.onnx"
    path.write_bytes(lone_files.signed(tmp_path, Format.ONNX, content, weight))
    lines = (("verify", path), ("inspect", path), ("inspect", "--lint", path))
    verified, inspected, linted = imported_after(*(run_command(*words) for words in lines), tmp_path=tmp_path)
    assert verified.isdisjoint(HEAVY)
    # onnxruntime's checker is written with the package onnx, and a graph's layers are read with it.
    assert inspected.isdisjoint(set(HEAVY) - {"onnx"})
    assert linted.isdisjoint(set(HEAVY) - {"onnx"})


APPS = {
    "generate": ["--out", "g.npz", "--count", "3"],
    "reconstruct": ["x.npy", "--out", "r.png"],
    "interpolate": ["--seeds", "1,2", "--out", "i.gif"],
    "traverse": ["--out", "t.png"],
    "encode": ["x.npy", "--out", "l.npz"],
    "compress": ["x.npy", "--fit", "--fit-steps", "2"],
    "score": ["x.npy", "--calibrate", "--calibration", "c.json", "--false-positive-rate", "0.3"],
}


def test_apps_never_import_tensorflow(tmp_path, bundles):
    import numpy as np

    bundle = bundles.make_bundle(tmp_path / "b")
    np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(0, 256, (40, 6, 6), np.uint8))
    lines = (run_command(command, bundle, *options) for command, options in APPS.items())
    for command, modules in zip(APPS, imported_after(*lines, tmp_path=tmp_path), strict=True):
        assert modules.isdisjoint(HEAVY), command


@pytest.mark.slow
def test_verify_of_an_exported_bundle_never_imports_tensorflow(tmp_path, tiny_bundle):
    (modules,) = imported_after(run_command("verify", tiny_bundle), tmp_path=tmp_path)
    assert modules.isdisjoint(HEAVY)
    assert {"ai_edge_litert", "onnxruntime"} <= modules


# Runs a program of pocketvae as `python -m` does; says at the end, on stderr, what it has imported.
RUN_AND_COUNT = """
import atexit, runpy, sys
module = sys.argv.pop(1)
mine = lambda: sorted(name for name in sys.modules if name.partition(".")[0] in ("pocketvae", "safetensors"))
atexit.register(lambda: print("MODULES", *mine(), file=sys.stderr))
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""
# What a worker holds shows in the memory column of bench, and what the remote program imports is sent and emulated.
MOST_MODULES = 37


def modules_after(request, module, *words):
    """Returns the modules of pocketvae that a program has imported when it has answered a request."""
    from pocketvae.processes.envelope import Response, encode, read

    command = [sys.executable, "-c", RUN_AND_COUNT, module, *map(str, words)]
    done = subprocess.run(command, input=encode(request), capture_output=True, timeout=300, check=False)
    stream = io.BytesIO(done.stdout)
    response = read(Response, stream.readline(), stream)
    assert response.error is None, response.error
    return done.stderr.decode().rpartition("MODULES ")[2].split()


@pytest.mark.parametrize("name", ["decoder.float32.onnx", "encoder.float32.onnx"])
def test_a_worker_of_bench_imports_few_modules(tmp_path, bundles, name):
    from pocketvae.benchmarks.latency.measure.subjects import artifact_load
    from pocketvae.bundle.bundle import open_bundle
    from pocketvae.documents import to_data
    from pocketvae.processes.envelope import Request

    bundle = open_bundle(bundles.make_bundle(tmp_path / "b"))
    load = artifact_load(bundle, bundle.manifest.artifact(name), 1, 1)
    request = Request(id=1, method="load", params=to_data(load))
    modules = modules_after(request, "pocketvae.benchmarks.latency.measure.worker")
    assert "pocketvae.runtimes.onnxruntime" in modules
    assert "safetensors" not in modules
    assert len(modules) <= MOST_MODULES, modules


def test_the_program_inside_a_target_imports_few_modules(tmp_path, bundles):
    from pocketvae.benchmarks.remote.channel import ChannelRun
    from pocketvae.bundle.bundle import open_bundle
    from pocketvae.processes.envelope import Response

    class Recorder:
        """A channel that keeps what it is asked."""

        def __init__(self):
            self.requests = []

        def ask(self, request, time_limit_s):
            self.requests.append(request)
            return Response(id=request.id, result={})

        def close(self):
            pass

    channel, bundle = Recorder(), open_bundle(bundles.make_bundle(tmp_path / "b"))
    artifact = bundle.manifest.artifacts[0]
    with ChannelRun("t", channel, bundle) as run:
        run.run(artifact, bundle.goldens(artifact.component).inputs)
    for request in channel.requests:
        modules = modules_after(request, "pocketvae.benchmarks.remote.serve", bundle.path)
        modules = [name for name in modules if name.startswith("pocketvae")]
        assert len(modules) <= MOST_MODULES, modules
        assert not [name for name in modules if name.startswith(("pocketvae.bundle", "pocketvae.system.tools"))]
    assert "pocketvae.runtimes.onnxruntime" in modules
