"""Bad input to every command: a clear error, exit 2, nothing written."""

import gzip
import shutil
import struct

import numpy as np
import pytest
from PIL import Image


def folder_content(path):
    return sorted(str(file.relative_to(path)) for file in path.rglob("*"))


@pytest.fixture
def train_refuses(refused, tmp_path):
    """Asserts that `train` refuses a source and leaves the folder as it was."""

    def run(pattern, source, *options):
        before = folder_content(tmp_path)
        refused(pattern, "train", "--data", source, "--out", tmp_path / "run", *options)
        assert folder_content(tmp_path) == before

    return run


def idx_images(count=40, side=8):
    return struct.pack(">HBBIII", 0, 8, 3, count, side, side) + bytes(count * side * side)


def test_a_source_that_is_not_there(train_refuses, tmp_path):
    train_refuses("missing.npz", tmp_path / "missing.npz")


def test_a_misspelt_mnist_gets_a_close_match(train_refuses):
    train_refuses("did you mean 'mnist'", "minst")


def test_a_truncated_idx_file(train_refuses, tmp_path):
    file = tmp_path / "train-images-idx3-ubyte"
    file.write_bytes(idx_images()[:-5])
    train_refuses("must hold 2560 bytes for the shape", file)


def test_a_truncated_gzip_file(train_refuses, tmp_path):
    file = tmp_path / "train-images-idx3-ubyte.gz"
    file.write_bytes(gzip.compress(idx_images())[:-9])
    train_refuses("cannot be read", file)


def test_a_file_that_is_no_idx_file(train_refuses, tmp_path):
    file = tmp_path / "train-images-idx3-ubyte"
    file.write_bytes(b"not an idx file")
    train_refuses("which would begin with two zero bytes", file)


def test_a_corrupt_npz(train_refuses, tmp_path):
    file = tmp_path / "x.npz"
    np.savez_compressed(file, images=np.random.default_rng(0).integers(0, 256, (64, 8, 8), np.uint8))
    file.write_bytes(file.read_bytes()[:-200])
    train_refuses("x.npz", file)


def test_an_npz_of_pickled_objects(train_refuses, tmp_path):
    file = tmp_path / "x.npz"
    np.savez(file, images=np.array([{"a": 1}], object))
    train_refuses("its array 'images' cannot be used: its values must be numbers", file)


def test_an_npz_without_images(train_refuses, tmp_path):
    np.savez(tmp_path / "x.npz", pictures=np.zeros((40, 8, 8), np.uint8))
    train_refuses(r"must hold an array named .* got \['pictures'\]", tmp_path / "x.npz")


def test_nan_pixels(train_refuses, tmp_path):
    images = np.zeros((40, 8, 8), np.float32)
    images[3, 4, 5] = np.nan
    np.save(tmp_path / "x.npy", images)
    train_refuses("1 pixels that are NaN or infinite", tmp_path / "x.npy")


def test_pixels_of_another_scale(train_refuses, tmp_path):
    np.save(tmp_path / "x.npy", np.full((40, 8, 8), 255.0, np.float32))
    train_refuses(r"float pixels must be in \[0, 1\], got 255 to 255", tmp_path / "x.npy")


def test_an_empty_folder(train_refuses, tmp_path):
    (tmp_path / "images").mkdir()
    train_refuses("does not contain images", tmp_path / "images")


def test_images_of_mixed_sizes(train_refuses, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for index in range(40):
        Image.new("L", (8, 8 if index != 17 else 9)).save(folder / f"{index:02}.png")
    train_refuses(r"the same size: .*00.png is 8x8, .*17.png is 8x9", folder)


def test_a_corrupt_image_is_named(train_refuses, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for index in range(40):
        Image.effect_noise((8, 8), 90).save(folder / f"{index:02}.png")
    broken = folder / "21.png"
    broken.write_bytes(broken.read_bytes()[:40])
    train_refuses("21.png cannot be read as an image", folder)


def test_too_few_images(train_refuses, tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((5, 8, 8), np.uint8))
    train_refuses("at least 32", tmp_path / "x.npy")


def test_an_unknown_preset(train_refuses):
    train_refuses("unknown preset 'mnist-tinny': did you mean 'mnist-tiny'", "mnist", "--preset", "mnist-tinny")


def test_an_unknown_configuration_key(train_refuses):
    train_refuses("unknown configuration key 'epoch': did you mean 'epochs'", "mnist", "--set", "epoch=3")


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("epochs", "--set takes KEY=VALUE"),
        ("epochs=many", "epochs must be an integer, got 'many'"),
        ("epochs=[", "must be a number, true or false, a name, or a list"),
        ("epochs=2.5", "epochs must be an integer"),
        ("epochs=0", "epochs must be at least 1, got 0"),
        ("learning_rate=nan", "learning_rate must be positive and finite"),
    ],
)
def test_a_wrong_value(train_refuses, assignment, message):
    train_refuses(message, "mnist", "--set", assignment)


def test_a_configuration_file_that_is_no_toml(train_refuses, tmp_path):
    (tmp_path / "c.toml").write_text("epochs = = 3")
    train_refuses("c.toml cannot be read", "mnist", "--config", tmp_path / "c.toml")


def test_an_output_in_a_folder_that_does_not_exist(refused, tmp_path):
    refused("folder must exist", "train", "--data", "mnist", "--out", tmp_path / "no" / "run")
    assert folder_content(tmp_path) == []


@pytest.mark.parametrize("words", [("train", "--data", "mnist"), ("quickstart",)])
def test_an_existing_output_is_kept_without_force(refused, tmp_path, words):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("precious")
    refused("exists: choose another", *words, "--out", tmp_path / "out")
    assert (tmp_path / "out" / "mine.txt").read_text() == "precious"


@pytest.mark.parametrize("words", [("train", "--data", "mnist"), ("export", "somewhere")])
def test_force_does_not_delete_what_is_not_pocketvae_s(refused, tmp_path, words):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("precious")
    refused("--force only replaces an empty folder or one with a", *words, "--force", "--out", tmp_path / "out")
    refused("mine.txt is neither", *words, "--force", "--out", tmp_path / "out" / "mine.txt")
    assert (tmp_path / "out" / "mine.txt").read_text() == "precious"


@pytest.mark.parametrize(
    ("words", "marker"),
    [
        (("train", "--data", "mnist"), "run.json"),
        (("distil", "somewhere", "--speedup", "2"), "distilled.json"),
        (("generate", "somewhere"), "request.json"),
        (("decompress", "somewhere", "x.pvae"), "decompressed.json"),
    ],
)
def test_force_does_not_delete_what_was_put_beside_it(refused, tmp_path, words, marker):
    (tmp_path / "out" / "bundle").mkdir(parents=True)
    (tmp_path / "out" / marker).touch()
    (tmp_path / "out" / "mine.txt").write_text("precious")
    said = "out has files of yours, which --force would delete: bundle, mine.txt; move what you need"
    refused(said, *words, "--force", "--out", tmp_path / "out")
    assert (tmp_path / "out" / "mine.txt").read_text() == "precious"


def test_force_of_a_page_does_not_either(refused, bundles, tmp_path):
    (tmp_path / "site").mkdir()
    for name in ("noise.bin", "index.html", "mine.txt"):
        (tmp_path / "site" / name).touch()
    bundle = bundles.make_bundle(tmp_path / "b")
    said = "site has files of yours, which --force would delete: mine.txt"
    refused(said, "explore", bundle, "--export-dir", tmp_path / "site", "--force")


@pytest.mark.parametrize("name", ["run", "bundle"])
def test_force_of_quickstart_does_not_either(refused, tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / name / "mine.txt").write_text("precious")
    refused(f"{name} is neither", "quickstart", "--force", "--out", tmp_path)
    assert folder_content(tmp_path) == [name, f"{name}/mine.txt"]


def test_quickstart_into_a_file(refused, tmp_path):
    (tmp_path / "out").write_text("a file")
    refused("out", "quickstart", "--out", tmp_path / "out", "--force")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--components", "decoder"), "--calibrate-scores fits the threshold of a scorer: add it to --components"),
        (("--components", "decoder,encoder,scorer"), "fits a threshold, but the files have to be calibrated too"),
        (
            ("--components", "decoder,encoder,scorer", "--data", "mnist"),
            "--calibrate-scores must be 'mnist', a folder of .*, got nothing.npy, which does not exist",
        ),
    ],
)
def test_normal_items_that_are_of_no_use_are_told_before_a_model_is_read(refused, tmp_path, words, message):
    for name in ("decoder.onnx", "encoder.onnx"):
        (tmp_path / name).write_bytes(b"not read")
    models = ("--decoder", tmp_path / "decoder.onnx", "--encoder", tmp_path / "encoder.onnx")
    refused(message, "export", *models, "--calibrate-scores", "nothing.npy", *words, "--out", tmp_path / "out")


def test_export_of_something_else(refused, tmp_path):
    (tmp_path / "here").mkdir()
    refused("is not a run: run.json is missing", "export", tmp_path / "here", "--out", tmp_path / "bundle")


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--formats", "onx", "unknown format 'onx': did you mean 'onnx'"),
        ("--precisions", "int88", "unknown precision 'int88': did you mean 'int8'"),
        ("--components", "decodr", "unknown component 'decodr': did you mean 'decoder'"),
        ("--precisions", ",", "at least one precision must be named"),
        ("--image-dtype", "uint16", "unknown image dtype 'uint16': did you mean 'uint8'"),
        ("--batch", "1,x", "--batch takes integers such as 1 or 1,2, got '1,x'"),
        ("--memory-limit", "0", "--memory-limit takes a number of gigabytes above 0, got 0"),
        ("--memory-limit", "nan", "--memory-limit takes a number of gigabytes above 0, got nan"),
        ("--for", "hexagn", "unknown chip 'hexagn': did you mean 'hexagon'"),
        ("--for", "gpu,hexagon:v76", "unknown Hexagon generation 'v76': did you mean 'v79'"),
        ("--compile", "gpu", "--compile writes context files for hexagon"),
        ("--for", "", "--for needs at least one chip, such as hexagon:v75, got ''"),
        ("--compile", ",", "--compile needs at least one chip, such as hexagon:v75, got ','"),
        ("--for", "hexagon,hexagon:v75", "hexagon and hexagon:v75 are the same chip: name one of them"),
    ],
)
def test_export_with_an_unknown_name(refused, tmp_path, option, value, message):
    refused(message, "export", tmp_path, "--out", tmp_path / "bundle", option, value)


@pytest.mark.parametrize(
    ("out", "test", "message"),
    [
        ("b", "b", "--out and --android-test name the same file"),
        ("b", "b/test", "--android-test must be a folder beside --out"),
        ("t/b", "t", "--android-test must be a folder beside --out"),
    ],
)
def test_a_test_for_android_in_the_bundle(refused, tmp_path, out, test, message):
    (tmp_path / out).parent.mkdir(exist_ok=True)
    options = ("--out", tmp_path / out, "--android-test", tmp_path / test)
    refused(message, "export", tmp_path, *options)


@pytest.mark.parametrize("options", [("--formats", "tflite"), ("--precisions", "float32"), ("--for", "ethos-u55-128")])
def test_compiling_of_what_is_not_exported(refused, tmp_path, options):
    words = ("--components", "decoder", "--compile", "hexagon:v75", *options)
    message = "--compile: hexagon:v75 runs float16, int8 and int16x8 ONNX files, but none is to be exported; add it to"
    refused(message, "export", tmp_path, "--out", tmp_path / "bundle", *words)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hexagon", "hexagon runs float16, int8 and int16x8 ONNX files, but the bundle has none"),
        ("cpu", "--lint --target is for chips beside a CPU, which runs every file, got 'cpu'"),
        ("", "unknown chip ''"),
    ],
)
def test_a_chip_that_the_linter_cannot_ask(refused, tmp_path, bundles, name, message):
    refused(message, "inspect", "--lint", bundles.make_bundle(tmp_path / "b"), "--target", name)


def test_one_file_for_a_chip_that_is_tried_with_goldens(refused, tmp_path, bundles):
    file = bundles.make_bundle(tmp_path / "b") / "decoder.float32.onnx"
    message = "--target gpu runs the files of a bundle with its goldens: name the bundle of"
    refused(message, "inspect", "--lint", file, "--target", "gpu")


def test_an_onnx_file_for_an_ethos_u(refused, tmp_path, bundles):
    file = bundles.make_bundle(tmp_path / "b") / "decoder.float32.onnx"
    message = "ethos-u55-128 runs TFLite files, but there is none: decoder.float32.onnx is an ONNX file"
    refused(message, "inspect", "--lint", file, "--target", "ethos-u")


@pytest.mark.parametrize("option", [("--targets", "node"), ("--paced", "10"), ("--baseline", "old"), ("--profile",)])
def test_options_of_this_machine_beside_a_chip(refused, tmp_path, bundles, option):
    message = f"{option[0]} cannot be combined with --target, which chooses what runs and where"
    refused(message, "bench", bundles.make_bundle(tmp_path / "b"), "--recommend", "--target", "ethos-u", *option)


def test_export_of_a_combination_that_does_not_exist(refused, tmp_path):
    options = ("--formats", "onnx", "--precisions", "int8_io")
    refused("onnx does not support int8_io: ", "export", tmp_path, "--out", tmp_path / "bundle", *options)


@pytest.mark.parametrize("name", ["verify", "bench"])
def test_a_folder_that_is_no_bundle(refused, tmp_path, name):
    refused("is not a bundle: manifest.json is missing", name, tmp_path)


@pytest.mark.parametrize("name", ["verify", "bench"])
@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema_version": 1}', '{"schema_version": 99}'])
def test_a_damaged_manifest(refused, tmp_path, name, content):
    (tmp_path / "manifest.json").write_text(content)
    refused(f"manifest.json .*{'upgrade' if '99' in content else '(JSON|damaged)'}", name, tmp_path)


def test_a_result_file_that_cannot_be_written_is_refused_before_any_work(refused, tmp_path):
    refused("does not exist: create it first", "verify", tmp_path, "--json", tmp_path / "no" / "x.json")
    refused("--junit names .*, which this command reads", "verify", tmp_path, "--junit", tmp_path)
    (tmp_path / "folder").mkdir()
    refused("must not be a folder", "verify", tmp_path, "--junit", tmp_path / "folder")


@pytest.mark.slow
def test_a_changed_artifact_is_named(refused, tiny_bundle, tmp_path):
    bundle = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, bundle)
    artifact = bundle / "decoder.int8.tflite"
    artifact.write_bytes(artifact.read_bytes()[:-1] + b"\1")
    for name in ("bench", "inspect"):
        refused("decoder.int8.tflite was changed", name, bundle)
    artifact.unlink()
    refused("decoder.int8.tflite is missing", "bench", bundle)


@pytest.mark.parametrize("count", ["0", "-1", "two", "1,", "1000"])
def test_thread_counts(refused, tmp_path, bundles, count):
    refused("threads", "bench", bundles.make_bundle(tmp_path / "b"), "--threads", count)


@pytest.mark.parametrize("count", ["0", "-1", "two"])
def test_thread_counts_of_verify(refused, tmp_path, bundles, count):
    refused("threads", "verify", bundles.make_bundle(tmp_path / "b"), "--threads", count)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--batch", "0"), "a batch size must be at least 1, got 0"),
        (("--batch", "one"), "--batch takes integers"),
        (("--paced", "0"), "a pace must be above 0"),
        (("--paced", "fast"), "--paced takes numbers such as 10 or 10,60, got 'fast'"),
        (("--margin", "5"), "--margin and --force-compare need --baseline"),
        (("--force-compare",), "--margin and --force-compare need --baseline"),
        (("--target-ms", "5"), "--target-ms and --max-kb need --recommend"),
        (("--recommend", "--target-ms", "0"), "--target-ms must be above 0"),
        (("--recommend", "--component", "decodr"), "did you mean 'decoder'"),
        (("--original-decoder", "nowhere"), "the original nowhere does not exist"),
        (("--baseline", "nowhere.json"), "the baseline nowhere.json cannot be read"),
        (("--html", "nowhere/page.html"), "the folder of nowhere/page.html does not exist"),
        (("--recommend", "--max-kb", "nan"), "--max-kb must be above 0, got nan"),
        (("--recommend", "--max-kb", "inf"), "--max-kb must be above 0, got inf"),
        (("--recommend", "--batch", "4"), "--recommend compares calls of one sample: add 1 to --batch"),
        (("--artifacts", ","), "at least one artifact must be named"),
        (("--targets", "node", "--batch", "1"), "--batch can only be used on this machine: add host to --targets"),
        (
            ("--targets", "node", "--paced", "9", "--profile"),
            "--paced, --profile can only be used on this machine: add host",
        ),
        (
            ("--targets", "node", "--baseline", "b", "--recommend"),
            "--baseline, --recommend can only be used on this machine: add host",
        ),
        (("--targets", "node", "--instructions"), "--instructions can only be used on this machine: add host"),
    ],
)
def test_what_bench_cannot_do(refused, tmp_path, bundles, options, message):
    refused(message, "bench", bundles.make_bundle(tmp_path / "b"), *options)


def test_a_baseline_with_a_margin_that_is_none(refused, tmp_path, bundles):
    bundle = bundles.make_bundle(tmp_path / "b")
    refused("margin must be above 0", "bench", bundle, "--baseline", bundle, "--margin", "0")


@pytest.mark.parametrize(
    ("options", "message"),
    [(("--threads", "1000"), "threads must be between 1 and"), (("--baseline", "nowhere"), "cannot be read")],
)
def test_bench_refuses_for_this_machine_before_it_times_another(
    refused, tmp_path, bundles, monkeypatch, options, message
):
    from pocketvae import benchmarks

    monkeypatch.setattr(benchmarks, "bench_targets", lambda *_, **__: pytest.fail("another target was timed"))
    refused(message, "bench", bundles.make_bundle(tmp_path / "b"), "--targets", "host,node", *options)


def test_bench_knows_what_to_recommend_before_it_times(refused, tmp_path, bundles, monkeypatch):
    from pocketvae import benchmarks

    bundle = bundles.make_bundle(tmp_path / "b")
    monkeypatch.setattr(benchmarks, "bench_bundle", lambda *_, **__: pytest.fail("it was timed"))
    refused("the bundle has no scorer to recommend", "bench", bundle, "--recommend", "--component", "scorer")


def test_bench_reads_the_limits_of_parity_before_it_times(refused, tmp_path, bundles, monkeypatch):
    from pocketvae import benchmarks

    bundle = bundles.make_bundle(tmp_path / "b")
    (tmp_path / "pocketvae.toml").write_text('[limits."decoder.int4.*".image]\nmax_abs = 1\n')
    monkeypatch.setattr(benchmarks, "bench_bundle", lambda *_, **__: pytest.fail("it was timed"))
    refused("unknown artifact 'decoder.int4", "bench", bundle, "--recommend")
    refused("unknown artifact 'decoder.int4", "bench", bundle, "--html", tmp_path / "b.html")


def test_an_unknown_artifact_to_time(refused, tmp_path, bundles):
    bundle = bundles.make_bundle(tmp_path / "b")
    refused("did you mean 'decoder.float32.onnx'", "bench", bundle, "--artifacts", "decoder.flot32.onnx")


@pytest.mark.parametrize("name", ["nothing.tflite", "notes.txt", "folder"])
def test_inspect_of_something_else(refused, tmp_path, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "notes.txt").write_text("x")
    refused("is not a run, a bundle, or a .tflite or .onnx file", "inspect", tmp_path / name)


@pytest.mark.parametrize("kept", [0, 3, 100, 0.5, 0.99])
def test_inspect_of_a_truncated_onnx_file(refused, tmp_path, bundles, kept):
    whole = (bundles.make_bundle(tmp_path / "b") / "decoder.float32.onnx").read_bytes()
    part = tmp_path / "part.onnx"
    part.write_bytes(whole[: kept if isinstance(kept, int) else int(len(whole) * kept)])
    refused("part.onnx", "inspect", part)


@pytest.mark.slow
@pytest.mark.parametrize("kept", [0, 3, 100, 0.5, 0.99])
def test_inspect_of_a_truncated_tflite_file(refused, tmp_path, tiny_bundle, kept):
    whole = (tiny_bundle / "decoder.float32.tflite").read_bytes()
    part = tmp_path / "part.tflite"
    part.write_bytes(whole[: kept if isinstance(kept, int) else int(len(whole) * kept)])
    refused("part.tflite", "inspect", part)
