import contextlib
import os
import shutil
import sys
from dataclasses import replace

import numpy as np
import pyarrow.parquet
import pytest

from pocketvae.apps.clusters import running
from pocketvae.apps.generation import generate
from pocketvae.apps.image_output import write_numbered
from pocketvae.blocks import sharing
from pocketvae.bundle.demo import demo_folder
from pocketvae.cli.main import main
from pocketvae.data.item_files import ItemFile
from pocketvae.data.pictures import png_bytes
from pocketvae.fields import Channel
from pocketvae.vae_spec import DataKind, VaeSpec, vector_latent

COMMANDS = {
    "encode": (["encode", "b", "x.npz", "--out", "OUT.npz"], ["OUT.npz"]),
    "encode-parquet": (["encode", "b", "images", "--out", "OUT.parquet"], ["OUT.parquet"]),
    "score": (
        ["score", "b", "x.npy", "--calibration", "n.json", "--csv", "OUT.csv", "--json", "OUT.json"],
        ["OUT.csv", "OUT.json"],
    ),
    "score-normal": (
        [
            "score",
            "b",
            "images",
            "--calibration",
            "n.json",
            "--normal",
            "x.npy",
            "--json",
            "OUT.json",
            "--roc",
            "OUT.svg",
        ],
        ["OUT.json", "OUT.svg"],
    ),
    "reconstruct": (["reconstruct", "b", "x.npy", "--out", "OUT.npz"], ["OUT.npz"]),
    "reconstruct-png": (["reconstruct", "b", "x.npy", "--count", "300", "--out", "OUT.png"], ["OUT.png"]),
    "generate": (["generate", "b", "--seed", "5", "--count", "2500", "--out", "OUT.npz"], ["OUT.npz"]),
    "generate-folder": (
        ["generate", "b", "--start", "7", "--count", "9", "--out", "OUT"],
        ["OUT/000007.png", "OUT/000015.png"],
    ),
}


@pytest.fixture
def run(place, tmp_path, monkeypatch):
    """Runs a command in the folder with the bundle, and returns the bytes of its outputs."""
    monkeypatch.chdir(place)

    def go(words, outputs, name, *options):
        target = tmp_path / name
        assert main([*(word.replace("OUT", str(target)) for word in words), *options, "--quiet"]) == 0
        return [(tmp_path / output.replace("OUT", name)).read_bytes() for output in outputs]

    return go


@pytest.mark.parametrize("command", COMMANDS)
def test_any_number_of_workers_writes_the_bytes_of_one_process(cluster, run, tmp_path, command, capsys):
    words, outputs = COMMANDS[command]
    here = run(words, outputs, "here")
    said = capsys.readouterr().out.replace("here", "OUT")
    # The others are divided and joined by the same code; every worker that begins takes seconds.
    for workers in ("1", "2", "5") if command == "score" else ("2",):
        name = f"on-{workers}"
        assert run(words, outputs, name, "--cluster", "local", "--workers", workers) == here
        assert capsys.readouterr().out.replace(name, "OUT") == said
    assert not list(tmp_path.glob("*unfinished*"))


def test_compressed_files_are_the_same(cluster, tables_path, grey_images, tmp_path):
    np.save(tmp_path / "x.npy", grey_images)
    shared = ["--cluster", "local", "--workers", "2"]
    for name, at, options in (("here", "", []), ("there", "", shared), ("stored", "file://", shared)):
        packed, out = f"{at}{tmp_path}/{name}.pvae", f"{at}{tmp_path}/{name}.npz"
        bundle, items = f"{at}{tables_path}", f"{at}{tmp_path}/x.npy"
        assert main(["compress", bundle, items, "--out", packed, *options, "--quiet"]) == 0
        assert main(["decompress", bundle, packed, "--out", out, *options, "--quiet"]) == 0
    for ending in ("pvae", "npz"):
        here, there, stored = ((tmp_path / f"{name}.{ending}").read_bytes() for name in ("here", "there", "stored"))
        assert here == there == stored
    assert not list(tmp_path.glob("*unfinished*"))


def test_a_second_run_goes_on_and_needs_no_cluster_where_all_is_done(cluster, run, tmp_path, monkeypatch, capsys):
    """The output cannot be written at first: what was computed is kept."""
    words, outputs = COMMANDS["score"]
    options = ("--cluster", "local", "--workers", "2")

    def full(*arguments, **options):
        raise OSError(28, "No space left on device", "there.csv")

    with monkeypatch.context() as patch:
        patch.setattr("pocketvae.system.files.write_pieces", full)
        with pytest.raises(AssertionError):
            run(words, outputs, "there", *options)
    assert "No space left on device; there.csv.unfinished keeps 3 blocks: the command" in capsys.readouterr().err
    [work] = tmp_path.glob("*.unfinished")
    [*_, last] = sorted((work / "blocks").iterdir())
    last.unlink()
    opened = []
    monkeypatch.setattr(
        sharing, "compute_blocks", lambda *arguments, **_: opened.append([b.index for b in arguments[4]])
    )
    with pytest.raises(AssertionError):
        run(words, outputs, "there", *options)
    assert opened == [[2]]
    assert "block 2 (items 2048 to 2599) is missing" in capsys.readouterr().err


def test_an_interrupted_folder_of_images_goes_on_with_what_was_computed(computed, run, tmp_path, monkeypatch):
    words, outputs = (
        ["generate", "b", "--count", "1500", "--out", "OUT"],
        [f"OUT/{index:06d}.png" for index in (0, 1499)],
    )
    here = run(words, outputs, "here")

    def interrupted(folder, first, images):
        raise OSError(28, "No space left on device", "there") if first >= 640 else write_numbered(folder, first, images)

    with monkeypatch.context() as patch:
        patch.setattr(generate, "write_numbered", interrupted)
        with pytest.raises(AssertionError):
            run(words, outputs, "there", "--cluster", "local")
    assert computed == [0, 1]
    assert run(words, outputs, "there", "--cluster", "local", "--resume") == here
    assert computed == [0, 1]
    assert not list(tmp_path.glob("*unfinished*"))


@pytest.mark.parametrize("command", ["encode", "score", "reconstruct", "generate"])
def test_workers_with_another_bundle_at_the_path_refuse_to_work(
    computed, bundles, items, tmp_path, monkeypatch, capsys, command
):
    monkeypatch.chdir(tmp_path)
    bundles.make_bundle(tmp_path / "b")
    np.save("x.npy", items)
    np.savez("x.npz", images=items)
    calibrate = ["score", "b", "x.npy", "--calibrate", "--calibration", "n.json", "--quiet"]
    assert main(calibrate) == 0
    weights = bundles._weights()
    with monkeypatch.context() as patch:
        patch.setattr(bundles, "_weights", lambda: {**weights, "mean": 3 * weights["mean"]})
        bundles.make_bundle(tmp_path / "new")

    def exported_again(cluster):
        # As while Ray starts.
        shutil.move("b", "old")
        shutil.move("new", "b")
        return contextlib.nullcontext()

    monkeypatch.setattr(sharing, "connected", exported_again)
    words, _ = COMMANDS[command]
    words = [word.replace("OUT", "out") for word in words]
    assert main([*words, "--cluster", "local", "--quiet"]) == 2
    assert "the one that the command opened, but its manifest is another" in capsys.readouterr().err
    assert not list(tmp_path.glob("out.???"))


def test_what_is_computed_already_needs_no_space_again(computed, run, tmp_path, monkeypatch):
    words, outputs = COMMANDS["reconstruct"]
    asked = []
    monkeypatch.setattr(running, "check_space", lambda folder, size: asked.append(size))
    with monkeypatch.context() as patch:
        patch.setattr("pocketvae.apps.write_reconstruction", lambda *given, **options: 1 / 0)
        with pytest.raises(AssertionError):
            run(words, outputs, "there", "--cluster", "local")
    run(words, outputs, "there", "--cluster", "local")
    assert asked[1] == asked[0] / 2
    assert computed == [0, 1, 2]


def test_a_file_is_decompressed_in_one_precision(computed, tables_path, grey_images, tmp_path, monkeypatch, capsys):
    np.save(tmp_path / "x.npy", grey_images)
    monkeypatch.chdir(tmp_path)
    assert main(["compress", str(tables_path), "x.npy", "--out", "x.pvae", "--quiet"]) == 0
    words = ["decompress", str(tables_path), "x.pvae", "--out", "y.npz", "--cluster", "local", "--quiet"]
    with monkeypatch.context() as patch:
        patch.setattr("pocketvae.apps.write_decompressed", lambda *given, **options: 1 / 0)
        assert main(words) != 0
    capsys.readouterr()
    assert main([*words, "--precision", "float16"]) == 2
    assert "y.npz.unfinished holds results of another set" in capsys.readouterr().err
    assert main(words) == 0


def test_a_compressed_folder_has_the_names_of_what_was_not_skipped(computed, tables_path, grey_images, tmp_path):
    (tmp_path / "photos").mkdir()
    for index in range(3):
        (tmp_path / "photos" / f"{index}.png").write_bytes(png_bytes(grey_images[index]))
    words = ["compress", str(tables_path), str(tmp_path / "photos"), "--quiet", "--out"]
    shared = ["--cluster", "local", "--skip-corrupt"]
    assert main([*words, str(tmp_path / "here.pvae")]) == 0
    assert main([*words, str(tmp_path / "there.pvae"), *shared]) == 0
    assert (tmp_path / "here.pvae").read_bytes() == (tmp_path / "there.pvae").read_bytes()
    (tmp_path / "photos" / "1.png").write_bytes(b"torn")
    assert main([*words, str(tmp_path / "x.pvae"), *shared]) == 0
    out = ["--out", str(tmp_path / "d"), "--quiet"]
    assert main(["decompress", str(tables_path), str(tmp_path / "x.pvae"), *out, "--cluster", "local"]) == 0
    assert sorted(path.name for path in (tmp_path / "d").iterdir()) == ["0.png", "2.png", "decompressed.json"]


def test_mnist_is_the_package_s_own_wherever_it_is_read(computed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(demo_folder(), tmp_path / "b")
    (tmp_path / "mnist" / "a").mkdir(parents=True)
    (tmp_path / "mnist" / "a" / "0.png").write_bytes(png_bytes(np.zeros((28, 28, 1), np.uint8)))
    for name, options in (("here", ()), ("there", ("--cluster", "local"))):
        assert main(["encode", "b", "mnist", "--count", "3", "--out", f"{name}.csv", *options, "--quiet"]) == 0
    assert (tmp_path / "here.csv").read_bytes() == (tmp_path / "there.csv").read_bytes()


def test_an_output_in_the_folder_that_is_read_is_refused(computed, place, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(place / "images", tmp_path / "images")
    words = ["encode", str(place / "b"), "images", "--out", "images/0/z.npz", "--cluster", "local", "--quiet"]
    assert main(words) == 2
    assert "images/0/z.npz must not lie in images, which must stay as it is" in capsys.readouterr().err
    assert not computed


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes on Linux alone")
def test_names_that_are_not_utf_8_are_written_as_they_are(computed, place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(place / "images" / "0", tmp_path / "images")
    name = os.fsdecode(b"caf\xe9.png")
    (tmp_path / "images" / "000.png").rename(tmp_path / "images" / name)
    (tmp_path / "images" / os.fsdecode(b"\xe9.png")).write_bytes(b"torn")
    shared = ["--cluster", "local", "--skip-corrupt", "--quiet"]
    bundle, calibration = str(place / "b"), str(place / "n.json")
    assert main(["score", bundle, "images", "--calibration", calibration, "--csv", "s.csv", *shared]) == 0
    assert b"\ncaf\xe9.png," in (tmp_path / "s.csv").read_bytes()
    assert b"\xe9.png" in (tmp_path / "s.csv.skipped.txt").read_bytes()
    assert main(["encode", bundle, "images", "--out", "z.parquet", *shared]) == 0
    assert "caf?.png" in pyarrow.parquet.read_table("z.parquet")["name"].to_pylist()


def test_recordings_that_cannot_be_read_are_left_out_by_name(computed, bundles, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    channels = tuple(Channel(name=name) for name in ("ax", "ay"))
    sequences = VaeSpec(data=DataKind.SEQUENCE, data_shape=(18, 2), latents=vector_latent(3), range_is_strict=False)
    bundles.make_bundle(tmp_path / "b", vae=replace(sequences, channels=channels))
    values = np.random.default_rng(0).normal(size=(3, 60, 2))
    for name, own in zip("abc", values, strict=True):
        (tmp_path / "fleet").mkdir(exist_ok=True)
        np.savetxt(f"fleet/{name}.csv", own, "%.9g", ",", header="ax,ay", comments="")
    words = ["encode", "b", "fleet", "--cluster", "local", "--skip-corrupt", "--quiet"]
    assert main([*words, "--out", "whole.npz"]) == 0
    assert not (tmp_path / "whole.npz.skipped.txt").exists()
    torn = tmp_path / "fleet" / "b.csv"
    torn.write_bytes(torn.read_bytes().rpartition(b",")[0])
    assert main([*words, "--out", "o.npz"]) == 0
    error = capsys.readouterr().err
    assert "left out, because it cannot be read: " in error
    lines = (tmp_path / "o.npz.skipped.txt").read_text("utf-8").splitlines()
    assert lines == [f"{torn}, row 61: every row must have 2 columns as the first, got 1"]
    with np.load("whole.npz") as whole, np.load("o.npz") as kept:
        own = np.array([not name.startswith("b.csv:") for name in whole["names"]])
        np.testing.assert_array_equal(kept["names"], whole["names"][own])
        np.testing.assert_array_equal(kept["z_mean"], whole["z_mean"][own])
    assert main([*words[:-2], "--quiet", "--out", "p.npz"]) == 2
    assert "b.csv, row 61: every row must have 2 columns" in capsys.readouterr().err


def test_results_of_another_input_are_refused(cluster, place, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(place)
    values = np.zeros((2600, 6, 6, 1), np.float32)
    values[1100] = 7
    np.save(tmp_path / "x.npy", values)
    words = ["encode", "b", str(tmp_path / "x.npy"), "--out", str(tmp_path / "o.npz")]
    words += ["--cluster", "local", "--workers", "1", "--quiet"]
    assert main(words) == 2
    error = capsys.readouterr().err
    assert "block 1 (items 1024 to 2047): it cannot be read: item 1100: " in error
    assert "--skip-corrupt leaves it out; o.npz.unfinished keeps 1 blocks: the command that began it goes on" in error
    np.save(tmp_path / "x.npy", values.clip(0, 1))
    assert main(words) == 2
    error = capsys.readouterr().err
    assert "holds results of another input: repeat that command to go on with it, or pass --force" in error
    assert main([*words, "--force"]) == 0
    with np.load(tmp_path / "o.npz") as made:
        assert len(made["names"]) == 2600


def test_what_cannot_be_read_is_left_out_by_name_on_request(cluster, place, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(place)
    shutil.copytree(place / "images", tmp_path / "images")
    for name in ("0/004.png", "1/299.png"):
        (tmp_path / "images" / name).write_bytes(b"torn")
    words = ["encode", "b", str(tmp_path / "images"), "--out", str(tmp_path / "o.npz"), "--quiet"]
    assert main([*words, "--cluster", "local", "--skip-corrupt"]) == 0
    error = capsys.readouterr().err
    assert "left out, because it cannot be read: " in error
    assert "004.png" in error
    assert "299.png" in error
    assert error.endswith("o.npz.skipped.txt names all\n")
    lines = (tmp_path / "o.npz.skipped.txt").read_text().splitlines()
    assert ["004.png" in lines[0], "299.png" in lines[1], len(lines)] == [True, True, 2]
    with np.load(tmp_path / "o.npz") as made:
        assert len(made["names"]) == len(made["z_mean"]) == 298
        assert "0/004.png" not in made["names"]


def test_an_item_that_cannot_be_read_costs_no_other(cluster, place, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(place)
    values = np.zeros((2600, 6, 6, 1), np.float32)
    values[1100] = 7
    np.save(tmp_path / "x.npy", values)
    words = ["encode", "b", str(tmp_path / "x.npy"), "--out", str(tmp_path / "o.npz"), "--quiet", "--cluster", "local"]
    assert main([*words, "--skip-corrupt"]) == 0
    assert "left out, because it cannot be read: item 1100: " in capsys.readouterr().err
    with np.load(tmp_path / "o.npz") as made:
        assert len(made["names"]) == len(made["z_mean"]) == 2599
        assert "1100" not in made["names"]
    assert (tmp_path / "o.npz.skipped.txt").read_text().startswith("item 1100: ")
    np.save(tmp_path / "x.npy", values.clip(0, 1))
    assert main([*words, "--force"]) == 0
    assert not (tmp_path / "o.npz.skipped.txt").exists()


def test_where_nothing_can_be_read_nothing_is_kept(cluster, place, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(place)
    np.save(tmp_path / "x.npy", np.full((300, 6, 6, 1), 7.0, np.float32))
    words = ["encode", "b", str(tmp_path / "x.npy"), "--out", str(tmp_path / "o.npz"), "--quiet", "--cluster", "local"]
    assert main([*words, "--skip-corrupt"]) == 2
    error = capsys.readouterr().err
    assert "none of the 64 items that were tried can be read; item 0: " in error
    assert "keeps" not in error
    assert [path.name for path in tmp_path.iterdir()] == ["x.npy"]


def test_too_little_space_is_said_before_the_work(cluster, place, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(place)
    monkeypatch.setattr("shutil.disk_usage", lambda folder: shutil._ntuple_diskusage(100, 99, 1))
    words = ["encode", "b", "x.npy", "--out", str(tmp_path / "o.npz"), "--quiet", "--cluster", "local"]
    assert main(words) == 2
    assert "the output needs about" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["encode", "b", "x.npy", "--out", "o.npz", "--workers", "2"], "--workers only applies to --cluster"),
        (["encode", "b", "x.npy", "--out", "o.npz", "--skip-corrupt"], "--skip-corrupt only applies to --cluster"),
        (["encode", "b", "x.npy", "--out", "o.npz", "--cluster", "there"], "--cluster must be local, auto or ray://"),
        (["score", "b", "x.npy", "--calibration", "n.json", "--cluster", "local"], "pass --csv FILE or --json FILE"),
        (["score", "b", "x.npy", "--calibration", "m", "--calibrate", "--cluster", "local"], "leave out --cluster"),
        (["compress", "b", "x.npy", "--fit", "--cluster", "local"], "--fit goes from one item to the next"),
        (["encode", "b", "x.npy", "--out", "o.npz", "--cluster", "local", "--label", "3"], "does not take a label"),
        (["encode", "b", "wide.npy", "--out", "o.npz", "--cluster", "local"], "item 0: "),
        (["encode", "b", "wide.npy", "--out", "o.npz", "--cluster", "local", "--skip-corrupt"], "none of the 5 items"),
        (["encode", "b", "gone.npy", "--out", "o.npz", "--cluster", "local"], "gone.npy"),
        (["encode", "b", "x.npy", "--precision", "int8", "--out", "o.npz", "--cluster", "local"], "no int8 encoder"),
    ],
)
def test_wrong_usage_is_refused_before_a_cluster_is_asked(place, monkeypatch, capsys, words, message):
    monkeypatch.chdir(place)
    monkeypatch.setattr(sharing, "connected", lambda cluster: pytest.fail("a cluster was asked"))
    assert main([*words, "--quiet"]) == 2
    assert message in capsys.readouterr().err
    assert not list(place.glob("*.unfinished"))


def test_score_reads_pixels_where_they_are(place, monkeypatch):
    """Images of a `.npy` file are never in memory all together."""
    monkeypatch.chdir(place)
    most = []
    read = ItemFile._read
    monkeypatch.setattr(
        ItemFile, "_read", lambda self, first, last: most.append(last - first) or read(self, first, last)
    )
    assert main(["score", "b", "x.npy", "--calibration", "n.json", "--quiet"]) == 0
    assert sum(most) == 2600
    assert max(most) == 64
