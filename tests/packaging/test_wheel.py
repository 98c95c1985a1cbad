"""The wheel: what is in it, and that it works where nothing else of the project is."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    # Built from a copy: setuptools writes its build folder beside the source.
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout: the list of source files is not known")
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A folder that holds the wheel's content and nothing else of the project."""
    folder = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_the_wheel_holds_every_module_and_data_file(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    rooms = {"core": "pocketvae", "train": "pocketvae/train", "export": "pocketvae/export"}
    rooms |= {"cli": "pocketvae/cli", "benchmarks": "pocketvae/benchmarks", "apps": "pocketvae/apps"}
    rooms |= {"distil": "pocketvae/distil", "udf": "pocketvae/udf"}
    for room, package in rooms.items():
        files = [file for pattern in ("*.py", "*.j2") for file in (ROOT / room).rglob(pattern)]
        assert files
        for file in files:
            assert f"{package}/{file.relative_to(ROOT / room).as_posix()}" in names
    programs = [file.name for pattern in ("*.mjs", "*.html") for file in (ROOT / "benchmarks/remote").glob(pattern)]
    assert len(programs) == 5
    programs += [f"native/{file.name}" for file in (ROOT / "benchmarks/remote/native").iterdir()]
    assert {f"pocketvae/benchmarks/remote/{name}" for name in programs} <= names
    page = ("apps/explorer/page/index.html", "apps/explorer/page/explore.js", "apps/explorer/page/explore.css")
    for name in ("py.typed", "reporting/report.css", *page, "mnist/train-images-idx3-ubyte.xz", "mnist/README.md"):
        assert f"pocketvae/{name}" in names
    assert {name.split("/")[0] for name in names if "dist-info" not in name} == {"pocketvae"}


def test_the_embedded_mnist_is_small_enough(wheel):
    with zipfile.ZipFile(wheel) as archive:
        sizes = [info.file_size for info in archive.infolist() if "/mnist/" in info.filename]
    assert sum(sizes) <= 10_000_000


def test_the_demo_is_small_enough(wheel):
    with zipfile.ZipFile(wheel) as archive:
        sizes = {info.filename: info.compress_size for info in archive.infolist() if "/demo/" in info.filename}
    root = ROOT / "core/demo"
    files = {f"pocketvae/demo/{file.relative_to(root).as_posix()}" for file in root.rglob("*") if file.is_file()}
    assert set(sizes) == files
    assert sum(sizes.values()) <= 3_000_000


def run_installed(installed, folder, code):
    """Runs code against the wheel alone, away from the source tree, where opening a connection is an error."""
    script = (
        "import socket, sys\n"
        "def refuse(*_): raise AssertionError('the network was used')\n"
        "socket.socket.connect = refuse\n"
        f"sys.path.insert(0, {str(installed)!r})\n{code}"
    )
    environment = {**os.environ, "PYTHONPATH": str(installed), "PYTHONNOUSERSITE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=folder, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_the_installed_wheel_runs_the_whole_line_offline(installed, tmp_path, mnist_npz):
    code = f"""
import pocketvae
from pocketvae.cli.main import main
assert pocketvae.__file__.startswith({str(installed)!r}), pocketvae.__file__
small = ["--set", "epochs=1", "--set", "channels=[4]", "--set", "hidden_units=8", "--set", "latent_dim=2"]
plain = ["--rewrites", "none"]
assert main(["train", "--data", {str(mnist_npz)!r}, "--out", "run", *small]) == 0
assert main(["export", "run", "--out", "bundle", "--components", "decoder", "--precisions", "float32", *plain]) == 0
assert main(["verify", "bundle"]) == 0
assert main(["bench", "bundle", "--no-original", "--artifacts", "decoder.float32.onnx"]) == 0
"""
    assert "2 of 2 artifacts match the original" in run_installed(installed, tmp_path, code)


def test_the_installed_wheel_brings_a_bundle_to_try(installed, tmp_path):
    code = """
import sys
from pocketvae.cli.main import main
assert main(["verify", "demo"]) == 0
assert main(["generate", "demo", "--seed", "7", "--count", "64", "--out", "grid.png"]) == 0
assert main(["app", "demo", "--platform", "android", "--out", "app"]) == 0
print(sorted({name.split(".")[0] for name in sys.modules} & {"tensorflow", "tf_keras", "keras"}))
"""
    lines = run_installed(installed, tmp_path, code).splitlines()
    assert "14 of 14 artifacts match the original" in lines
    assert lines[-1] == "[]"
    assert (tmp_path / "grid.png").stat().st_size > 1000


def test_the_installed_wheel_brings_mnist(installed, tmp_path):
    code = """
from pocketvae.data.dataset import load_splits
data = load_splits("mnist")
print(len(data.train), len(data.validation), len(data.test), data.image_shape)
"""
    assert run_installed(installed, tmp_path, code).strip() == "55000 5000 10000 (28, 28, 1)"
