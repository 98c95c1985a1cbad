"""One cluster of Ray on this machine for the tests of a file, and a bundle with its items."""

import contextlib

import numpy as np
import pytest

from pocketvae.blocks import sharing
from pocketvae.blocks.cluster import Cluster, connected
from pocketvae.blocks.work_folder import write_result
from pocketvae.cli.main import main
from pocketvae.data.pictures import png_bytes

COUNT = 2600


@pytest.fixture(scope="module")
def cluster():
    """Ray with CPUs for five workers, which the runs of a file share: starting it takes seconds."""
    pytest.importorskip("ray", reason="Ray is not installed")
    with connected(Cluster(address="local", workers=5)) as ray, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sharing, "connected", lambda cluster: contextlib.nullcontext(ray))
        yield ray


@pytest.fixture
def computed(monkeypatch):
    """In place of a cluster this process computes all blocks; returns the numbers of those that it has computed."""
    numbers = []

    def compute(ray, cluster, job, place, blocks, **options):
        with job.open() as compute_block:
            for block in blocks:
                write_result(place, block, compute_block(block))
                numbers.append(block.index)

    monkeypatch.setattr(sharing, "connected", lambda cluster: contextlib.nullcontext())
    monkeypatch.setattr(sharing, "compute_blocks", compute)
    return numbers


@pytest.fixture(scope="session")
def items():
    """`[2600, 6, 6, 1]`: three blocks of pixels."""
    return np.random.default_rng(0).integers(0, 256, (COUNT, 6, 6, 1), np.uint8)


@pytest.fixture(scope="module")
def place(tmp_path_factory, bundles, items):
    """A folder with a bundle `b` and its calibration, its items as `x.npy`, `x.npz` and in part as images."""
    folder = tmp_path_factory.mktemp("clusters")
    bundles.make_bundle(folder / "b")
    np.save(folder / "x.npy", items)
    np.save(folder / "wide.npy", np.zeros((5, 8, 8, 1), np.uint8))
    np.savez(folder / "x.npz", images=items, labels=np.arange(COUNT, dtype=np.int32) % 7)
    for index in range(300):
        (folder / "images" / str(index % 2)).mkdir(parents=True, exist_ok=True)
        (folder / "images" / str(index % 2) / f"{index:03d}.png").write_bytes(png_bytes(items[index]))
    calibrate = ["score", str(folder / "b"), str(folder / "x.npy"), "--calibrate"]
    assert main([*calibrate, "--calibration", str(folder / "n.json"), "--quiet"]) == 0
    return folder
