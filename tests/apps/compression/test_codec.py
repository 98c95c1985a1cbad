"""compress and decompress: exact where they promise it, and never silently wrong."""

import hashlib
import json
import shutil
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pocketvae
from pocketvae import apps
from pocketvae.apps import (
    Choice,
    PixelTraining,
    SourceImages,
    compress_lossless,
    compress_lossy,
    decompress,
    fit_tables,
    load_tables,
)
from pocketvae.apps.compression import codec, codec_tables, pixel_codec, stream
from pocketvae.apps.compression.codec_tables import find_tables
from pocketvae.apps.compression.latent_tables import BEST_QUALITY, fit_latent_tables, steps_of
from pocketvae.apps.compression.pixel_training import PixelBatch, loss_and_gradients
from pocketvae.apps.compression.rans import TOTAL
from pocketvae.apps.compression.stream import Coding, Stream, pack, pack_names, unpack, unpack_names
from pocketvae.cli.main import main
from pocketvae.errors import DataError, DataWarning, ManifestError, PocketVaeError, SpecError
from pocketvae.vae_spec import Condition, VaeSpec, class_label, vector_latent


def source(images):
    return SourceImages(images=images, names=tuple(map(str, range(len(images)))), labels=None)


@pytest.fixture(scope="module")
def bundle(tables_path):
    with pocketvae.open(tables_path) as opened:
        yield opened


@pytest.fixture(scope="module")
def lossless(tables, grey_images):
    return compress_lossless(tables, grey_images[200:])


@pytest.fixture(scope="module")
def lossy(bundle, tables, grey_images):
    return compress_lossy(bundle, tables, source(grey_images[200:]), Choice())


def test_lossless_is_exact_and_shorter_than_the_pixels(bundle, tables, grey_images, lossless):
    result = decompress(bundle, tables, lossless, Choice())
    assert np.array_equal(result.images, grey_images[200:])
    assert result.z is None
    assert len(lossless) < grey_images[200:].size * 0.8


@pytest.mark.parametrize("kind", ["noise", "black", "white"])
def test_images_unlike_the_fitted_ones_are_exact_too(bundle, tables, kind):
    images = np.random.default_rng(0).integers(0, 256, (5, 6, 6, 1), np.uint8)
    images = {"noise": images, "black": images * 0, "white": images * 0 + 255}[kind]
    data = compress_lossless(tables, images)
    assert np.array_equal(decompress(bundle, tables, data, Choice()).images, images)


def test_a_code_does_not_depend_on_the_others(tables, grey_images):
    together = unpack(compress_lossless(tables, grey_images[:41]), "x").codes
    alone = [unpack(compress_lossless(tables, grey_images[i : min(i + 16, 41)]), "x").codes[0] for i in (0, 16, 32)]
    assert list(together) == alone


@pytest.mark.parametrize("count", [1, 15, 16, 17, 300])
def test_any_number_of_images_comes_back(bundle, tables, grey_images, count):
    data = compress_lossless(tables, grey_images[:count])
    assert np.array_equal(decompress(bundle, tables, data, Choice()).images, grey_images[:count])


@pytest.mark.parametrize("quality", range(1, BEST_QUALITY + 1))
def test_latents_come_back_within_half_a_step(bundle, tables, grey_images, quality):
    images = grey_images[:70]
    data = compress_lossy(bundle, tables, source(images), Choice(), quality=quality)
    result = decompress(bundle, tables, data, Choice())
    means = bundle.encoder().encode(images).z_mean
    steps = np.ldexp(steps_of(quality), -tables.latents.exponents.astype(int))
    assert (np.abs(result.z - means) <= steps * 0.5 + steps / steps_of(quality)).all()
    assert np.array_equal(result.images, bundle.decoder().decode_pixels(result.z))
    assert not (np.ldexp(result.z.astype(float), tables.latents.exponents.astype(int)) % 1).any()


def test_items_far_outside_the_fit_are_warned_of_once(sequence_bundle, tmp_path):
    items = np.random.default_rng(0).random((70, 6, 6)).astype(np.float32)
    with pocketvae.open(sequence_bundle) as bundle:
        (tmp_path / "t.npz").write_bytes(fit_tables(bundle, items, None, PixelTraining()))
        tables = load_tables(tmp_path / "t.npz")
        strange = items.copy()
        strange[7:9] *= 1000
        told = (
            "2 of 70 items are far outside the data that the tables were fitted to, the first 7, and may be restored "
            "as others: scale them as for training, or fit tables of their own to such data with --fit --tables FILE"
        )
        with pytest.warns(DataWarning, match=told) as found:
            compress_lossy(bundle, tables, source(strange), Choice(), quality=10)
        assert len(found) == 1
        same = items[:2] + np.float32([[[0]], [[1e-6]]]) - items[1] + items[0]
        with pytest.warns(DataWarning, match="same latent .* raise --quality, or fit tables of their own"):
            compress_lossy(bundle, tables, source(same), Choice(), quality=1)
        with pytest.raises(DataError, match="the tables cannot cover the latents of 2 of 70 items to fit to, z_mean"):
            fit_tables(bundle, np.where(strange > 1, strange * 1e6, strange), None, PixelTraining())


def test_better_quality_takes_more_bytes(bundle, tables, grey_images):
    sizes = [
        len(compress_lossy(bundle, tables, source(grey_images), Choice(), quality=q))
        for q in range(1, BEST_QUALITY + 1)
    ]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


def test_frequencies_are_whole_and_add_up(tables):
    for quality in range(1, BEST_QUALITY + 1):
        table = tables.latents.frequencies(quality)
        assert table.min() >= 1
        assert (table.sum(axis=1) == TOTAL).all()


def test_the_histogram_is_that_of_the_latents():
    rng = np.random.default_rng(0)
    mean = rng.normal(size=(5000, 2)).astype(np.float32) * np.float32([1, 0.01])
    log_var = np.broadcast_to(np.log(np.float32([0.01, 1])), mean.shape)
    tables = fit_latent_tables(pocketvae.Posterior(z_mean=mean, z_log_var=log_var))
    assert tables.exponents.tolist() == [7, 3]  # eight units in a standard deviation of 0.1 and of 1
    centre = tables.counts.shape[1] // 2
    near = tables.counts[0, centre - 128 : centre + 129].sum() / tables.counts[0].sum()
    assert near == pytest.approx(0.683, abs=0.03)


@pytest.mark.parametrize("sigma", [0.0, 0.0005, 0.002, 0.1])
@pytest.mark.parametrize("quality", [1, 7, BEST_QUALITY])
def test_no_latent_is_moved_to_the_edge_of_a_grid(sigma, quality):
    rng = np.random.default_rng(0)
    mean = rng.normal(size=(2000, 3)).astype(np.float32) * np.float32([1, 0.01, 300])
    mean[7, 0] = 40  # further out than any of its kind
    with np.errstate(divide="ignore"):
        log_var = np.full_like(mean, 2 * np.log(np.float32(sigma)))
    tables = fit_latent_tables(pocketvae.Posterior(z_mean=mean, z_log_var=log_var))
    unit = np.ldexp(1.0, -tables.exponents.astype(int))
    moved = np.abs(tables.latents(tables.symbols(mean, quality), quality) - mean)
    assert (moved <= unit * (steps_of(quality) + 1) / 2 + 1e-6 * np.abs(mean)).all()
    assert tables.counts.shape[1] <= 2 * 4096 + 1


def test_the_grid_is_as_coarse_as_the_decoder_allows(bundle, tables, grey_images):
    means = bundle.encoder().encode(grey_images[:200]).z_mean

    def error(z):
        return np.mean(np.square(bundle.decoder().decode_pixels(z).astype(float) - grey_images[:200]))

    finest = fit_latent_tables(bundle.encoder().encode(grey_images[:200]))
    doublings = finest.exponents - tables.latents.exponents
    assert (doublings == doublings[0]).all()
    assert doublings[0] > 0  # the encoder of this bundle returns a standard deviation of 1 and means close to 0
    decoded = error(tables.latents.latents(tables.latents.symbols(means, 7), 7))
    assert decoded <= 1.03 * error(means)


_NO_CHECKS = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@settings(max_examples=60, deadline=None, suppress_health_check=_NO_CHECKS)
@given(st.data())
def test_a_damaged_file_is_refused_and_never_a_wrong_image(bundle, tables, lossless, lossy, data):
    original = data.draw(st.sampled_from([lossless, lossy]))
    kind = data.draw(st.sampled_from(["flip", "cut", "insert", "noise"]))
    place = data.draw(st.integers(0, len(original) - 1))
    damaged = {
        "flip": original[:place] + bytes([original[place] ^ data.draw(st.integers(1, 255))]) + original[place + 1 :],
        "cut": original[:place],
        "insert": original[:place] + data.draw(st.binary(min_size=1, max_size=9)) + original[place:],
        "noise": data.draw(st.binary(max_size=200)),
    }[kind]
    with pytest.raises(PocketVaeError):
        decompress(bundle, tables, damaged, Choice())


@settings(max_examples=40, deadline=None, suppress_health_check=_NO_CHECKS)
@given(st.data())
def test_damage_that_passes_the_outer_checksum_is_found_inside(bundle, tables, lossless, lossy, data):
    found = unpack(data.draw(st.sampled_from([lossless, lossy])), "x")
    codes = list(found.codes)
    which = data.draw(st.integers(0, len(codes) - 1))
    code = bytearray(codes[which])
    code[data.draw(st.integers(0, len(code) - 1))] ^= data.draw(st.integers(1, 255))
    codes[which] = bytes(code)
    forged = pack(Stream(**{**vars(found), "codes": tuple(codes)}))
    with pytest.raises(DataError, match="damaged"):
        decompress(bundle, tables, forged, Choice())


def test_a_forged_count_is_refused_before_memory_is_asked_for(tables, lossless):
    found = unpack(lossless, "x")
    with pytest.raises(DataError, match="at most 16777216 is possible"):
        unpack(pack(Stream(**{**vars(found), "count": 1 << 25})), "x")


def forged(original, **changes):
    return pack(Stream(**{**vars(unpack(original, "x")), **changes}))


def test_a_file_of_few_bytes_is_not_decoded_to_more_than_the_memory_holds(bundle, tables, lossless, lossy, monkeypatch):
    count = 1 << 24
    bombs = [
        forged(lossless, count=count, codes=(b"\0\0\1\0",) * (count // 16)),
        forged(lossy, count=count, codes=(b"\0\0\1\0",) * (count // 64)),
    ]
    monkeypatch.setattr(codec, "machine_bytes", lambda: 10**9)
    for name in ("decode_pixels", "decode_symbols"):
        monkeypatch.setattr(codec, name, lambda *_: pytest.fail("it has begun"))
    for bomb in bombs:
        with pytest.raises(DataError, match=r"its 16777216 images take about 1\.21 GB of memory, .* has 1 GB"):
            decompress(bundle, tables, bomb, Choice())


def test_one_long_code_among_many_takes_no_more_memory_than_the_file(bundle, tables, lossless):
    count = 512 * 16
    data = forged(lossless, count=count, codes=(b"\0" * 8_000_000, *(b"\0\0\1\0",) * 511))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="damaged"):
            decompress(bundle, tables, data, Choice())
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 100_000_000  # a row for each code would take 4 GB


def test_a_label_that_is_no_int32_is_refused(lossy):
    labels = (*(0,) * 99, (1 << 31) - 1)
    assert unpack(forged(lossy, labels=labels), "x").labels == labels
    with pytest.raises(DataError, match="a number of 2147483648 where at most 2147483647 is possible"):
        unpack(forged(lossy, labels=(*labels[:-1], 1 << 31)), "x")


def test_what_the_decoder_could_not_decode_is_not_compressed(tmp_path, bundles, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    condition = Condition(count=4, encoded=False)
    vae = VaeSpec(data_shape=(6, 6, 1), latents=vector_latent(3), conditions=(condition,))
    bundles.make_bundle(tmp_path / "b", vae=vae)
    images = np.random.default_rng(0).integers(0, 256, (60, 6, 6, 1), np.uint8)
    np.save("x.npy", images)
    np.savez("labelled.npz", images=images, labels=np.arange(60) % 4)
    words = ["compress", "b", "labelled.npz", "--fit", "--fit-steps", "1", "--quiet"]
    assert main(words) == 0
    for items, label, message in (
        ("x.npy", (), "the decoder needs a label of 0 to 3 for every item: name items with labels, or pass --label"),
        ("x.npy", ("--label", "99"), "the label must be 0 to 3, got 99"),
        ("x.npy", ("--label=-1",), "the label must be 0 to 3, got -1"),
    ):
        assert main(["compress", "b", items, "--out", "x.pvae", *label, "--quiet"]) == 2
        assert message in capsys.readouterr().err
    for items, label in (("x.npy", ("--label", "3")), ("labelled.npz", ())):
        assert main(["compress", "b", items, "--out", "x.pvae", *label, "--quiet", "--force"]) == 0
        assert main(["decompress", "b", "x.pvae", "--out", "y.npz", "--quiet", "--force"]) == 0


def test_more_images_than_a_file_holds_are_refused_before_any_work(bundle, tables):
    many = np.broadcast_to(np.zeros((1, 6, 6, 1), np.uint8), ((1 << 24) + 1, 6, 6, 1))
    with pytest.raises(DataError, match="at most 16777216 images, got 16777217: compress them in several files"):
        compress_lossless(tables, many)
    with pytest.raises(DataError, match="at most 16777216 images"):
        compress_lossy(bundle, tables, SourceImages(images=many, names=(), labels=None), Choice())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: b"RIFF" + data[4:], "was not made by pocketvae compress: it must begin with PVAE"),
        (lambda data: data[:4] + b"\3" + data[5:], "format version 3, but this pocketvae reads versions 1 and 2"),
        (lambda data: data[:10], "is truncated: only 10 bytes are left"),
        (lambda data: b"", "was not made by pocketvae compress"),
        (lambda data: data[:-1], "damaged or truncated: its checksum"),
    ],
)
def test_the_reason_is_said(lossy, change, message):
    with pytest.raises(DataError, match=message):
        unpack(change(lossy), "x.pvae")


def test_other_tables_and_other_decoders_are_refused(bundle, tables, lossy, tmp_path, bundles, grey_images):
    with pytest.raises(DataError, match=r"was made with the tables [0-9a-f]{8}, but these are 00000000: use those"):
        decompress(bundle, type(tables)(**{**vars(tables), "id": b"\0\0\0\0"}), lossy, Choice())
    goldens = np.zeros((20, 6, 6, 1), np.float32)
    with pocketvae.open(bundles.make_bundle(tmp_path / "other", goldens=goldens)) as other:
        told = (
            f"x.pvae: it is for the decoder {tables.decoder_id.hex()}, but this bundle has .*: use the bundle that it"
        )
        with pytest.raises(DataError, match=told) as found:
            decompress(other, tables, lossy, Choice(), name="x.pvae")
        assert "--fit" not in str(found.value)
        with pytest.raises(
            ManifestError, match="fitted to another decoder: .* --force, which keeps these under another"
        ):
            compress_lossy(other, tables, source(grey_images), Choice())


def test_what_cannot_be_compressed_is_refused(bundle, tables, grey_images):
    with pytest.raises(SpecError, match=r"quality must be 1 \(smallest\) to 10 \(best\), got 11"):
        compress_lossy(bundle, tables, source(grey_images), Choice(), quality=11)
    with pytest.raises(SpecError, match="lossless compression only supports grey images"):
        compress_lossless(tables, np.zeros((1, 6, 6, 3), np.uint8))
    with pytest.raises(DataError, match=r"takes images of \(6, 6\), got \(7, 6\)"):
        compress_lossless(tables, np.zeros((1, 7, 6, 1), np.uint8))


def test_only_pixels_are_compressed(bundle, tables, grey_images):
    # Their checksum would be that of other bytes, and no file could be read again.
    some = grey_images[:3]
    for images in (some.astype(np.int64), some / np.float32(255), some[..., 0], some[:0]):
        with pytest.raises(DataError, match=r"images must be \[N, H, W, 1\] uint8, got \["):
            compress_lossless(tables, images)
    real = some / np.float32(255)
    with pytest.raises(DataError, match="images must be uint8 pixels of 0 to 255, got float32"):
        fit_tables(bundle, real, None, PixelTraining(steps=1))
    for call in (
        lambda items: compress_lossy(bundle, tables, items, Choice()),
        lambda items: apps.encode_images(bundle, items, Choice()),
        lambda items: apps.reconstruct(bundle, items, Choice()),
        lambda items: apps.image_features(bundle, items, Choice(), apps.Sampling()),
    ):
        with pytest.raises(DataError, match="images must be uint8 pixels of 0 to 255, got float32"):
            call(source(real))
        with pytest.raises(DataError, match="at least one image is needed, got none"):
            call(source(some[:0]))


def test_damaged_tables_are_refused(tables_path, tmp_path):
    data = (tables_path / "codec.npz").read_bytes()
    with pytest.raises(
        ManifestError, match="codec.npz is missing: create it with pocketvae compress BUNDLE IMAGES --fit$"
    ):
        load_tables(tmp_path / "codec.npz")
    for damaged in (data[: len(data) // 2], b"nothing", b""):
        (tmp_path / "codec.npz").write_bytes(damaged)
        with pytest.raises(ManifestError, match="is damaged .*: restore it from a copy, which files made with it need"):
            load_tables(tmp_path / "codec.npz")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network_window": np.array([2**30, 2**30])}, "a window must reach 0 to 64 rows"),
        ({"network_window": np.array([-1, 2])}, "a window must reach 0 to 64 rows"),
        ({"network_window": np.array([3, 3])}, "the pixel network's inputs must be"),
        ({"network_inputs": np.array([np.nan])}, "'network_inputs' must hold integers, got 1 of float64"),
        ({"network_rows": np.full((6, 24), -(2**63))}, r"network's|biases must stay below"),
        ({"latent_exponents": np.array([-(2**63)] * 3)}, r"latent tables must"),
        ({"decoder_id": np.zeros(9, np.uint8)}, "'decoder_id' must be 4 bytes"),
        ({"format": np.zeros(0, np.int64)}, "'format' must hold integers, got 0 of int64"),
        ({"network_inputs": np.zeros(20 << 20, np.int64)}, r"claims \d+ bytes, more than such a file holds"),
    ],
)
def test_tables_that_make_no_sense_are_refused(tables_path, tmp_path, changes, message):
    with np.load(tables_path / "codec.npz") as archive:
        np.savez_compressed(tmp_path / "codec.npz", **{**archive, **changes})
    with pytest.raises(ManifestError, match=message):
        load_tables(tmp_path / "codec.npz")


def test_the_gradients_are_those_of_the_loss():
    rng = np.random.default_rng(0)
    shapes = {"inputs": (6, 5), "rows": (3, 5), "columns": (3, 5), "hidden": (5, 4), "hidden_bias": (4,)}
    shapes |= {"decisions": (4, 256), "decisions_bias": (256,)}
    parameters = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    batch = PixelBatch(
        inputs=rng.random((7, 6)).astype(np.float32),
        rows=rng.integers(0, 3, 7),
        columns=rng.integers(0, 3, 7),
        values=np.array([0, 0, 1, 128, 255, 3, 0], np.uint8),
        weights=np.float32([1, 8, 1, 1, 1, 1, 8]),
    )
    _, gradients = loss_and_gradients(parameters, batch)
    for name, shape in shapes.items():
        for _ in range(5):
            place = tuple(int(rng.integers(0, size)) for size in shape)
            losses = []
            for step in (1e-5, -1e-5):
                moved = {key: value.copy() for key, value in parameters.items()}
                moved[name][place] += step
                losses.append(loss_and_gradients(moved, batch)[0])
            slope = (losses[0] - losses[1]) / 2e-5
            assert gradients[name][place] == pytest.approx(slope, abs=1e-4), (name, place)


def test_the_network_computes_with_whole_numbers(tables):
    inputs = np.random.default_rng(0).integers(0, 256, (9, tables.network.window.input_count), np.uint8)
    features = tables.network.features(inputs, 2, 3)
    assert not (features % 1).any()
    # The same sums in 64-bit integers: nothing was rounded in float64.
    first = inputs.astype(np.int64) @ tables.network.inputs + tables.network.rows[2] + tables.network.columns[3]
    first = np.clip(first >> 6, 0, 1 << 15)
    second = np.clip((first @ tables.network.hidden + tables.network.hidden_bias) >> 12, 0, 1 << 15)
    assert np.array_equal(features, second)


def test_the_encoder_computes_many_pixels_at_once_as_the_decoder_each(tables, grey_images):
    network = tables.network
    padded, columns = network.window.pad(grey_images[:5, ..., 0]), slice(1, 5)
    inputs = network.window.inputs_of_row(padded, 3, columns)
    features = network.features_of_row(inputs, 3, columns)
    for place, column in enumerate(range(1, 5)):
        one = network.window.inputs(padded, 3, column)
        assert np.array_equal(inputs[:, place], one)
        assert np.array_equal(features[:, place], network.features(one, 3, column))


@pytest.mark.parametrize("at_once", [1, 100_000])
def test_a_code_does_not_depend_on_how_many_are_computed_at_once(tables, grey_images, lossless, monkeypatch, at_once):
    monkeypatch.setattr(pixel_codec, "_PIXELS_AT_ONCE", at_once)
    assert compress_lossless(tables, grey_images[200:]) == lossless


def test_the_commands_do_the_same(tables_path, grey_images, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", grey_images[:20])
    np.save("real.npy", grey_images[:20] / np.float32(255))
    bundle = str(tables_path)
    assert main(["compress", bundle, "x.npy", "--out", "x.pvae", "--lossless", "--quiet"]) == 0
    assert main(["decompress", bundle, "x.pvae", "--out", "y.npz", "--quiet"]) == 0
    assert np.array_equal(np.load("y.npz")["images"], grey_images[:20])
    assert main(["compress", bundle, "x.npy", "--out", "z.pvae", "--quality", "3", "--quiet"]) == 0
    assert main(["decompress", bundle, "z.pvae", "--out", "folder", "--quiet"]) == 0
    assert len(list((tmp_path / "folder").glob("*.png"))) == 20
    assert json.loads((tmp_path / "folder" / "decompressed.json").read_text())["images"] == 20
    assert main(["decompress", bundle, "z.pvae", "--out", "folder", "--force", "--quiet"]) == 0
    for words, message in (
        (["compress", bundle, "x.npy"], "compress needs either --out FILE or"),
        (["compress", bundle, "--fit", "x.npy"], "codec.npz exists"),
        (["compress", bundle, "x.npy", "--fit", "--out", "w"], "compress needs either --out FILE or"),
        (["compress", bundle, "x.npy", "--fit", "--force", "--count", "9"], "--fit uses all training images"),
        (["compress", bundle, "x.npy", "--fit", "--force", "--fit-steps", "0"], "needs at least 1 step"),
        (["compress", bundle, "x.npy", "--fit", "--force", "--fit-steps", "-5"], "got -5, 64 and 2048"),
        (["compress", bundle, "x.npy", "--out", "w", "--fit-steps", "9"], "--fit-steps only applies to --fit"),
        (["compress", bundle, "x.npy", "--out", "w", "--lossless", "--label", "1"], "holds pixels but no labels"),
        (["compress", bundle, "x.npy", "--out", "w", "--lossless", "--resize"], "scaling changes: leave out --resize"),
        (["compress", bundle, "real.npy", "--out", "w", "--lossless"], "real.npy holds float32, which would be"),
        (["compress", bundle, "x.npy", "--out", "w", "--label", "1"], "does not take a label, got 1"),
        (["decompress", bundle, "x.npy", "--out", "w.npz"], "x.npy was not made by pocketvae compress"),
        (["decompress", bundle, "z.pvae", "--out", "w.png"], "a .png file holds one image, got 20"),
        (["decompress", bundle, "nothing", "--out", "w.jpg"], "must end in .png or .npz, or name a folder"),
    ):
        assert main([*words, "--quiet"]) == 2, words
        assert message in capsys.readouterr().err
    assert unpack((tmp_path / "z.pvae").read_bytes(), "z").coding == Coding.LATENTS


def test_a_new_fit_leaves_files_readable(tables_path, grey_images, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", grey_images[:60])
    bundle, fit = str(tables_path), ["--fit", "--force", "--tables", "shared/t.npz", "--fit-steps"]
    Path("shared").mkdir()
    Path("link.npz").symlink_to("shared/t.npz")

    def run(*words):
        assert main([*map(str, words), "--quiet"]) == 0, capsys.readouterr().err
        return capsys.readouterr().out

    def read(name, *words):
        run("decompress", bundle, name, "--out", "y.npz", "--tables", *words, "--force")
        return np.load("y.npz")

    assert "before" not in run("compress", bundle, "x.npy", *fit, 1)
    old = Path("shared/t.npz").read_bytes()
    for name, words in (("a.pvae", ()), ("b.pvae", ("--lossless",))):
        run("compress", bundle, "x.npy", "--out", name, "--tables", "shared/t.npz", *words)
    z = read("a.pvae", "shared/t.npz")["z"]
    assert "before" not in run("compress", bundle, "x.npy", *fit, 1)  # the same tables
    assert [path.name for path in Path("shared").iterdir()] == ["t.npz"]
    kept = f"t.{hashlib.sha256(old).hexdigest()[:8]}.npz"
    assert f"; those before are {kept}, where decompress finds them" in run("compress", bundle, "x.npy", *fit, 2)
    assert Path("shared", kept).read_bytes() == old
    assert Path("shared/t.npz").read_bytes() != old
    run("compress", bundle, "x.npy", *(word.replace("shared/t", "link") for word in fit), 3)
    assert len(list(Path("shared").iterdir())) == 3
    for tables in ("shared/t.npz", "link.npz", f"shared/{kept}"):
        assert np.array_equal(read("a.pvae", tables)["z"], z)
        assert np.array_equal(read("b.pvae", tables)["images"], grey_images[:60])
    Path("shared/t.npz").write_bytes(b"damaged")
    assert np.array_equal(read("a.pvae", "shared/t.npz")["z"], z)


def test_a_file_without_its_tables_says_which_it_needs_and_names_no_fit(bundle, tables, tables_path, lossy, tmp_path):
    needed = tables.id.hex()

    def message():
        with pytest.raises(ManifestError, match=f"x.pvae needs the tables {needed}, but .*t.npz ") as found:
            find_tables(tmp_path / "t.npz", lossy, "x.pvae")
        assert "--fit" not in str(found.value)
        return str(found.value)

    assert "t.npz is missing: use the bundle that it was made with, or name the file of its tables with" in message()
    (tmp_path / "t.npz").write_bytes(b"nothing")
    assert "t.npz is damaged: use the bundle" in message()
    with np.load(tables_path / "codec.npz") as archive:
        np.savez(tmp_path / "t.npz", **archive)
    assert f"t.npz has {load_tables(tmp_path / 't.npz').id.hex()}: use the bundle" in message()
    shutil.copy(tables_path / "codec.npz", tmp_path / f"t.{needed}.npz")
    assert find_tables(tmp_path / "t.npz", lossy).id == tables.id
    assert find_tables(tables_path / "codec.npz", lossy).id == tables.id
    (tmp_path / f"t.{needed}.npz").write_bytes(b"other")
    message()


def test_names_are_part_of_version_2_and_others_stay_version_1(bundle, tables, grey_images, lossless):
    names = [f"cat/{number:03}é.png" for number in range(100)]
    images, items = grey_images[200:], source(grey_images[200:])
    for data, bare in (
        (compress_lossless(tables, images, names=names), lossless),
        (
            compress_lossy(bundle, tables, items, Choice(), names=names),
            compress_lossy(bundle, tables, items, Choice()),
        ),
    ):
        assert (data[4], bare[4]) == (2, 1)
        named = decompress(bundle, tables, data, Choice())
        assert list(named.names) == names
        assert decompress(bundle, tables, bare, Choice()).names == ()
        assert np.array_equal(named.images, decompress(bundle, tables, bare, Choice()).images)
        # One field more, before the checksum.
        size = len(unpack(data, "x").names)
        assert data[5:-4].startswith(bare[5:-4])
        assert len(data) == len(bare) + size + (1 if size < 128 else 2)
        assert zlib.decompress(data[-4 - size : -4]).decode() == "".join(f"{name}\0" for name in names)
    with pytest.raises(DataError, match="a name for each item or none, got 99 for 100"):
        compress_lossless(tables, images, names=names[1:])
    assert unpack_names(pack_names(["a\udcff", "b\0"]), 2) == ("a?", "b?")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (zlib.compress(b"a\0" * 99), "99 names for 100 items"),
        (zlib.compress(b"a\0" * 100 + b"b"), "100 names for 100 items"),
        (zlib.compress(b"a\0" * 100) + b"x", "100 names for 100 items"),
        (zlib.compress(b"a\0" * 100)[:-1], "100 names for 100 items"),
        (zlib.compress(b"\xff\0" * 100), "its names are no text"),
        (b"nothing", "its names are no text"),
    ],
)
def test_damaged_names_are_refused(bundle, tables, lossless, names, message):
    with pytest.raises(DataError, match=f"the stream is damaged: {message}"):
        decompress(bundle, tables, forged(lossless, names=names), Choice())


def test_names_that_unpack_to_more_than_a_file_holds_take_no_memory(monkeypatch):
    monkeypatch.setattr(stream, "_LARGEST_NAMES_BYTES", 1000)
    packed = zlib.compress(bytes(10**8))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="1000 names for 1001 items"):
            unpack_names(packed, 1001)
        assert tracemalloc.get_traced_memory()[1] < 10**6
    finally:
        tracemalloc.stop()
    with pytest.raises(DataError, match="the names of 501 items take 1002 bytes, and a file holds at most 1000: compr"):
        pack_names("a" * 501)


def test_numbered_pictures_of_somebody_else_are_not_replaced(tables_path, tmp_path, capsys):
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / "000000.png").write_bytes(b"mine")
    words = ["decompress", str(tables_path), "nothing", "--out", str(tmp_path / "holiday"), "--force"]
    assert main(words) == 2
    assert "replaces an empty folder or one with a decompressed.json" in capsys.readouterr().err
    assert (tmp_path / "holiday" / "000000.png").read_bytes() == b"mine"


def test_an_output_that_does_not_fit_is_refused_before_decoding(tables_path, lossy, tmp_path, monkeypatch, capsys):
    (tmp_path / "x.pvae").write_bytes(lossy)
    monkeypatch.setattr(apps, "decompress", lambda *_, **__: pytest.fail("it has begun"))
    assert main(["decompress", str(tables_path), str(tmp_path / "x.pvae"), "--out", str(tmp_path / "x.png")]) == 2
    assert "a .png file holds one image, got 100" in capsys.readouterr().err


def test_fitting_heeds_the_options(tables_path, grey_images, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.save("large.npy", grey_images.repeat(2, axis=1).repeat(2, axis=2))
    fit = ["compress", str(tables_path), "large.npy", "--fit", "--fit-steps", "2", "--tables", "t.npz", "--quiet"]
    for words, message in (
        ([], "large.npy is 12x12 grey, but the model takes 6x6 grey: pass --resize"),
        (["--resize", "--label", "1"], "does not take a label, got 1"),
        (["--resize", "--precision", "int8"], "the bundle has no int8 encoder"),
        (["--resize", "--format", "tflite"], "the bundle has no float32 encoder as tflite"),
    ):
        assert main([*fit, *words]) == 2
        assert message in capsys.readouterr().err
    assert main([*fit, "--resize"]) == 0
    assert load_tables(tmp_path / "t.npz").network.image_size == (6, 6)


@pytest.mark.slow
def test_every_runtime_reads_the_same_latents(tiny_bundle, mnist_npz, tmp_path):
    bundle = str(tiny_bundle)
    tables = ["--tables", str(tmp_path / "codec.npz")]
    options = [*tables, "--quiet"]
    assert main(["compress", bundle, str(mnist_npz), "--fit", "--fit-steps", "50", *options]) == 0
    assert main(["compress", bundle, str(mnist_npz), "--count", "99", "--out", str(tmp_path / "x.pvae"), *options]) == 0
    arrays = []
    for format, precision in (("tflite", "float32"), ("onnx", "float32"), ("tflite", "int8_io"), ("onnx", "int8")):
        out = tmp_path / f"{format}-{precision}.npz"
        words = ["decompress", bundle, str(tmp_path / "x.pvae"), "--out", str(out), "--format", format]
        assert main([*words, "--precision", precision, *options]) == 0
        arrays.append(dict(np.load(out)))
    assert all(np.array_equal(array["z"], arrays[0]["z"]) for array in arrays)
    difference = np.abs(arrays[0]["images"].astype(int) - arrays[1]["images"])
    assert difference.max() <= 1


def test_only_the_labels_of_the_fitted_images_are_used(tables_path, grey_images, monkeypatch):
    seen = []

    def stop(bundle, images, labels, progress):
        seen.append((len(images), len(labels)))
        raise DataError("seen")

    monkeypatch.setattr(codec_tables, "_posteriors", stop)
    monkeypatch.setattr(codec_tables, "_LATENT_IMAGES", 100)
    with pocketvae.open(tables_path) as bundle:
        object.__setattr__(bundle.manifest.vae, "conditions", class_label(10))
        with pytest.raises(DataError, match="seen"):
            fit_tables(bundle, grey_images, np.zeros(300, np.int32), PixelTraining(steps=1))
    assert seen == [(100, 100)]
