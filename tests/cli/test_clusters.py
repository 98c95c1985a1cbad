"""Commands that read and write storage by address."""

import contextlib
import pathlib

import numpy as np
import pytest

from pocketvae.blocks import sharing
from pocketvae.blocks.cluster import Cluster, connected
from pocketvae.cli.main import main

COUNT = 1300


@pytest.fixture(scope="module")
def ray():
    pytest.importorskip("ray", reason="Ray is not installed")
    with connected(Cluster(address="local", workers=2)) as ray, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sharing, "connected", lambda cluster: contextlib.nullcontext(ray))
        yield ray


@pytest.fixture(scope="module")
def stored(tmp_path_factory, bundles):
    """A folder with a bundle, its calibration, and items as `.npy`, and as `.npz` with labels."""
    pytest.importorskip("pyarrow")
    folder = tmp_path_factory.mktemp("stored")
    bundles.make_bundle(folder / "b")
    items = np.random.default_rng(0).integers(0, 256, (COUNT, 6, 6, 1), np.uint8)
    np.save(folder / "x.npy", items)
    np.save(folder / "other.npy", np.zeros((5, 8, 8, 1), np.uint8))
    np.savez(folder / "x.npz", images=items, labels=np.arange(COUNT, dtype=np.int32) % 7)
    calibrate = ["score", str(folder / "b"), str(folder / "x.npy"), "--calibrate"]
    assert main([*calibrate, "--calibration", str(folder / "n.json"), "--quiet"]) == 0
    return folder


COMMANDS = {
    "encode-npz": ["encode", "AT/b", "AT/x.npz", "--out", "TO.npz"],
    "score": ["score", "AT/b", "AT/x.npy", "--calibration", "n.json", "--csv", "TO.csv"],
    "generate": ["generate", "AT/b", "--count", "300", "--out", "TO.npz"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_what_lies_at_addresses_gives_the_bytes_of_what_lies_in_folders(
    ray, stored, tmp_path, monkeypatch, capsys, command
):
    monkeypatch.chdir(stored)
    *words, out = COMMANDS[command]
    here, there = (out.replace("TO", str(tmp_path / name)) for name in ("here", "there"))
    assert main([*(word.replace("AT/", "") for word in words), here, "--quiet"]) == 0
    said = capsys.readouterr().out.replace(here, "OUT")
    words = [word.replace("AT", f"file://{stored}") for word in words]
    assert main([*words, f"file://{there}", "--cluster", "local", "--workers", "2", "--quiet"]) == 0
    assert capsys.readouterr().out.replace(f"file://{there}", "OUT") == said
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([here[-8:], there[-9:]])
    with pathlib.Path(here).open("rb") as one, pathlib.Path(there).open("rb") as other:
        assert one.read() == other.read()


def test_a_second_run_goes_on_with_the_blocks_at_the_address(ray, stored, tmp_path, monkeypatch, capsys):
    words = ["encode", f"file://{stored}/b", f"file://{stored}/x.npy", "--out", f"file://{tmp_path}/o.npz"]
    words += ["--cluster", "local", "--workers", "1", "--quiet"]
    with monkeypatch.context() as patch:
        patch.setattr("pocketvae.cli.clusters.Storage.upload", lambda self, path: exec("raise OSError(5, 'lost')"))
        assert main(words) == 2
    assert "lost" in capsys.readouterr().err
    [work] = tmp_path.iterdir()
    assert work.name == "o.npz.unfinished"
    next((work / "blocks").iterdir()).unlink()
    given, compute = [], sharing.compute_blocks

    def counted(*arguments, **options):
        given.extend(arguments[4])
        compute(*arguments, **options)

    monkeypatch.setattr(sharing, "compute_blocks", counted)
    assert main(words) == 0
    assert len(given) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["o.npz"]
    assert main(words) == 2
    assert "o.npz exists: choose another output, or pass --force to replace it" in capsys.readouterr().err
    assert main([*words, "--force"]) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["encode", "b", "x.npy", "--out", "s3://b/o.npz"], "addresses of storage are for --cluster, got s3://b/o.npz"),
        (["encode", "b", "s3://b/x.npy", "--out", "o.npz"], "addresses of storage are for --cluster, got s3://b/x.npy"),
        (
            ["encode", "b", "x.npy", "--out", "s3://b/o.npz", "--cluster", "local"],
            "where the output has an address, what workers read must have one too, got x.npy",
        ),
        (
            ["generate", "b", "--out", "file:///tmp/o", "--cluster", "local"],
            "an output with an address must be a file with an ending, got file:///tmp/o",
        ),
        (
            ["encode", "b", "file:///gone.npy", "--out", "o.npz", "--cluster", "local"],
            "file:///gone.npy does not exist",
        ),
        (["encode", "b", "other.npy", "--out", "o.npz", "--cluster", "local"], "other.npy"),
        (["encode", "gopher://b", "x.npy", "--out", "o.npz", "--cluster", "local"], "gopher://b is no address of a"),
        (["encode", "file:///gone", "x.npy", "--out", "o.npz", "--cluster", "local"], "file:///gone does not exist"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_any_work(stored, monkeypatch, capsys, words, message):
    monkeypatch.chdir(stored)
    monkeypatch.setattr(sharing, "connected", lambda cluster: pytest.fail("a cluster was asked"))
    assert main([*words, "--quiet"]) == 2
    assert message in capsys.readouterr().err
    assert not [path for path in stored.iterdir() if path.name.startswith("o.npz")]
