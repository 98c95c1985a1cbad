"""The codec's figures: rate and distortion against JPEG, WebP and AVIF, and lossless bits per pixel.

    python studies/codec.py rate BUNDLE --fit mnist --data mnist --json RECORD --chart CHART.png
    python studies/codec.py lossless --json RECORD

`rate` fits tables to the training images of `--fit`, compresses the test images of `--data` at every quality, and finds
what the other codecs need for the same PSNR and the same SSIM: on a sheet that holds all images, so that one header
serves all, which is their best case, and as single files. Latent files count all their bytes but neither the tables nor
the decoder, as the others' do not count their programs.

`lossless` fits the pixel network to MNIST's training images, grey and binarized, compresses all 10,000 test images,
checks that every one comes back, and counts whole files. Binarized images are drawn once, each pixel set with the
probability of its grey value, the training images with seed 0 and the test images with seed 1.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from records import portable_command

import pocketvae
from pocketvae.apps import (
    BEST_QUALITY,
    Choice,
    CodecTables,
    PixelTraining,
    SourceImages,
    compress_lossless,
    compress_lossy,
    decompress,
    fit_tables,
    load_tables,
)
from pocketvae.apps.compression.pixel_codec import decode_pixels
from pocketvae.apps.compression.pixel_training import fit_pixel_network
from pocketvae.apps.compression.stream import ID_BYTES, unpack
from pocketvae.cli.terminal import Terminal
from pocketvae.data.dataset import load_splits
from pocketvae.numerics.ssim import ssim
from pocketvae.system import files
from pocketvae.system.environment import current_environment

CODECS = {"JPEG": range(1, 96, 4), "WEBP": range(0, 101, 4), "AVIF": range(0, 101, 5)}
SHEET_COLUMNS = 16


def main() -> int:
    """Runs one of the studies and writes its record."""
    arguments = _parser().parse_args()
    with Terminal(quiet=False) as terminal:
        figures = _rate(arguments, terminal) if arguments.study == "rate" else _lossless(arguments, terminal)
    record = {
        "study": f"codec {arguments.study}",
        "command": portable_command("codec", sys.argv[1:]),
        "commit": arguments.commit,
        "environment": dataclasses.asdict(current_environment()),
        "config": {"fit_steps": arguments.fit_steps},
        **figures,
    }
    text = json.dumps(record, indent=2, sort_keys=True) + "\n"
    if arguments.json is None:
        sys.stdout.write(text)
    else:
        files.write_text(arguments.json, text)
    return 0


def _rate(arguments: argparse.Namespace, terminal: Terminal) -> dict[str, object]:
    fit = load_splits(arguments.fit).train
    images = load_splits(arguments.data).test.images[: arguments.images]
    source = SourceImages(images=images, names=tuple(map(str, range(len(images)))), labels=None)
    with pocketvae.open(arguments.bundle) as bundle:
        path = arguments.tables
        # The pixel network plays no part here: one step of fitting will do.
        fitted = fit_tables(bundle, fit.images, fit.labels, PixelTraining(steps=1), progress=terminal.step)
        files.write_bytes(path, fitted)
        tables, manifest = load_tables(path), bundle.manifest
        latent = []
        for quality in range(1, BEST_QUALITY + 1):
            data = compress_lossy(bundle, tables, source, Choice(), quality=quality, progress=terminal.step)
            decoded = decompress(bundle, tables, data, Choice()).images
            latent.append({"quality": quality, "bytes": len(data) / len(images), **_quality(images, decoded)})
    curves = {name: _curve(name, images, terminal) for name in CODECS}
    for point in latent:
        for name, curve in curves.items():
            for measure in ("psnr_db", "ssim"):
                for layout in ("sheet", "single"):
                    needed = _bytes_at(curve, measure, point[measure], layout)
                    point[f"{name.lower()}_{layout}_bytes_at_equal_{measure}"] = needed
    if arguments.chart is not None:
        _chart(latent, curves, arguments.chart)
    return {
        "bundle": {"name": manifest.name, "training": manifest.training, "provenance": manifest.provenance},
        "images": len(images),
        "image_shape": images.shape[1:],
        "latent": latent,
        "others": curves,
    }


def _quality(images: np.ndarray, decoded: np.ndarray) -> dict[str, float]:
    error = np.mean(np.square(images.astype(np.float64) - decoded))
    return {"psnr_db": float(10 * np.log10(255**2 / error)), "ssim": float(ssim(images, decoded, span=255).mean())}


def _curve(name: str, images: np.ndarray, terminal: Terminal) -> list[dict[str, float]]:
    points = []
    sheet, height, width = _sheet(images), *images.shape[1:3]
    for quality in CODECS[name]:
        point: dict[str, float] = {"quality": quality}
        size, decoded = _coded(sheet, name, quality)
        tiles = decoded.reshape(-1, height, SHEET_COLUMNS, width, images.shape[3]).swapaxes(1, 2)
        tiles = tiles.reshape(-1, *images.shape[1:])[: len(images)]
        point |= {"sheet_bytes": size / len(images), **{f"sheet_{k}": v for k, v in _quality(images, tiles).items()}}
        singles = [_coded(image, name, quality) for image in images[:256]]
        decoded = np.stack([image for _, image in singles])
        point |= {f"single_{k}": v for k, v in _quality(images[:256], decoded).items()}
        point["single_bytes"] = float(np.mean([size for size, _ in singles]))
        points.append(point)
    terminal.line(f"{name}: {len(points)} qualities")
    return points


def _sheet(images: np.ndarray) -> np.ndarray:
    rows = -(-len(images) // SHEET_COLUMNS)
    full = np.zeros((rows * SHEET_COLUMNS, *images.shape[1:]), np.uint8)
    full[: len(images)] = images
    tiles = full.reshape(rows, SHEET_COLUMNS, *images.shape[1:]).swapaxes(1, 2)
    return tiles.reshape(rows * images.shape[1], SHEET_COLUMNS * images.shape[2], images.shape[3])


def _coded(image: np.ndarray, name: str, quality: int) -> tuple[int, np.ndarray]:
    file = io.BytesIO()
    options: dict[str, object] = {"JPEG": {"optimize": True}, "WEBP": {"method": 6}, "AVIF": {"speed": 4}}[name]
    Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(file, name, quality=quality, **options)
    mode = "L" if image.shape[2] == 1 else "RGB"
    return len(file.getvalue()), np.asarray(Image.open(file).convert(mode)).reshape(image.shape)


def _bytes_at(curve: list[dict[str, float]], measure: str, value: float, layout: str) -> float | None:
    """Returns the bytes at which a codec reaches a quality, None where its worst is better or its best is worse."""
    points = sorted((point[f"{layout}_{measure}"], point[f"{layout}_bytes"]) for point in curve)
    reached, needed = zip(*points, strict=True)
    return float(np.interp(value, reached, needed)) if reached[0] <= value <= reached[-1] else None


def _chart(latent: list[dict[str, float]], curves: dict[str, list[dict[str, float]]], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    for axis, measure, label in zip(axes, ("psnr_db", "ssim"), ("PSNR, dB", "SSIM"), strict=True):
        axis.plot([p["bytes"] for p in latent], [p[measure] for p in latent], "o-", label="pocketvae")
        for name, curve in curves.items():
            points = [(point["sheet_bytes"], point[f"sheet_{measure}"]) for point in curve]
            axis.plot(*zip(*points, strict=True), label=f"{name}, one sheet")
        axis.set(xscale="log", xlabel="bytes per image", ylabel=label)
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize=8)
    figure.savefig(path, dpi=90)


def _lossless(arguments: argparse.Namespace, terminal: Terminal) -> dict[str, object]:
    splits = load_splits("mnist")
    train, test = splits.train.images[..., 0], splits.test.images[: arguments.images, ..., 0]
    draws: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {"grey": lambda images, _: images, "binarized": _drawn}
    rows = {}
    for name, draw in draws.items():
        network = fit_pixel_network(draw(train, 0), PixelTraining(steps=arguments.fit_steps), terminal.step)
        images = draw(test, 1)
        tables = CodecTables(id=bytes(ID_BYTES), decoder_id=bytes(ID_BYTES), latents=None, network=network)
        start = time.perf_counter()
        data = compress_lossless(tables, images[..., None], terminal.step)
        middle = time.perf_counter()
        decoded = decode_pixels(list(unpack(data, name).codes), len(images), network, terminal.step)
        rows[name] = {
            "images": len(images),
            "exact": int(np.all(decoded == images, axis=(1, 2)).sum()),
            "bytes": len(data),
            "bits_per_pixel": 8 * len(data) / images.size,
            "compress_s": middle - start,
            "decompress_s": time.perf_counter() - middle,
        }
        terminal.line(f"{name}: {rows[name]}")
    return {"lossless": rows}


def _drawn(images: np.ndarray, seed: int) -> np.ndarray:
    drawn = np.random.default_rng(seed).integers(0, 255, images.shape, np.uint8) < images
    return np.where(drawn, np.uint8(255), np.uint8(0))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="The codec's rate, distortion and lossless figures.")
    studies = parser.add_subparsers(dest="study", required=True)
    rate = studies.add_parser("rate")
    rate.add_argument("bundle", type=Path)
    rate.add_argument("--fit", metavar="SRC", default="mnist", help="whose training images the tables are fitted to")
    rate.add_argument("--data", metavar="SRC", default="mnist", help="whose test images are compressed")
    rate.add_argument("--tables", metavar="FILE", type=Path, required=True, help="where to write the tables")
    rate.add_argument("--chart", metavar="FILE", type=Path, help="PNG to draw")
    lossless = studies.add_parser("lossless")
    for study in (rate, lossless):
        study.add_argument("--images", metavar="N", type=int, help="the first N test images (default: all)")
        study.add_argument("--fit-steps", metavar="N", type=int, default=6000)
        study.add_argument("--commit", help="of this repository")
        study.add_argument("--json", metavar="FILE", type=Path, help="record to write (default: standard output)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
