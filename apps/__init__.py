"""Applications of a bundle on a device: generate, reconstruct, compress, score, explore, all without TensorFlow."""

from typing import TYPE_CHECKING

from pocketvae.lazy_names import lazy_names

if TYPE_CHECKING:
    from pocketvae.apps.anomaly.calibration import Calibration, calibrate
    from pocketvae.apps.anomaly.features import Features, Sampling, image_features
    from pocketvae.apps.anomaly.roc import auroc, roc_curve, roc_svg
    from pocketvae.apps.anomaly.score_results import ScoreResult, score_csv, score_json, score_result
    from pocketvae.apps.anomaly.scores import ScoreKind, approximations, check_score, default_score, scores
    from pocketvae.apps.choice import Choice
    from pocketvae.apps.compression.codec import (
        Decompressed,
        check_lossless,
        compress_lossless,
        compress_lossy,
        decompress,
        image_count,
    )
    from pocketvae.apps.compression.codec_tables import TABLES_NAME, CodecTables, fit_tables, load_tables
    from pocketvae.apps.compression.decompressed_files import (
        DECOMPRESSED_NAME,
        check_decompressed_output,
        write_decompressed,
    )
    from pocketvae.apps.compression.latent_tables import BEST_QUALITY, DEFAULT_QUALITY
    from pocketvae.apps.compression.pixel_training import PixelTraining
    from pocketvae.apps.explorer.server import SiteServer
    from pocketvae.apps.explorer.site import SITE_MARKER, export_site, site_files
    from pocketvae.apps.explorer.web_runtime import DOWNLOAD_MB, runtime_files, set_up_runtime
    from pocketvae.apps.generation.generate import REQUEST_NAME, GenerateRequest, generate, generate_to
    from pocketvae.apps.generation.paths import LatentPath, activity, between, tour
    from pocketvae.apps.generation.reconstruct import (
        Reconstruction,
        check_reconstruction_output,
        reconstruct,
        write_reconstruction,
    )
    from pocketvae.apps.generation.walks import Interpolation, Traversal, interpolate, traverse
    from pocketvae.apps.latents_file import check_latents_output, encode_images, write_latents
    from pocketvae.apps.sources import SourceImages, load_images, load_items
    from pocketvae.apps.training_sources import load_training_images, load_training_items

_MODULES = {
    "pocketvae.apps.anomaly.calibration": (
        "Calibration",
        "calibrate",
    ),
    "pocketvae.apps.anomaly.features": (
        "Features",
        "Sampling",
        "image_features",
    ),
    "pocketvae.apps.anomaly.roc": (
        "auroc",
        "roc_curve",
        "roc_svg",
    ),
    "pocketvae.apps.anomaly.score_results": (
        "ScoreResult",
        "score_csv",
        "score_json",
        "score_result",
    ),
    "pocketvae.apps.anomaly.scores": (
        "ScoreKind",
        "approximations",
        "check_score",
        "default_score",
        "scores",
    ),
    "pocketvae.apps.choice": ("Choice",),
    "pocketvae.apps.compression.codec": (
        "Decompressed",
        "check_lossless",
        "compress_lossless",
        "compress_lossy",
        "decompress",
        "image_count",
    ),
    "pocketvae.apps.compression.codec_tables": (
        "CodecTables",
        "TABLES_NAME",
        "fit_tables",
        "load_tables",
    ),
    "pocketvae.apps.compression.decompressed_files": (
        "DECOMPRESSED_NAME",
        "check_decompressed_output",
        "write_decompressed",
    ),
    "pocketvae.apps.compression.latent_tables": (
        "BEST_QUALITY",
        "DEFAULT_QUALITY",
    ),
    "pocketvae.apps.compression.pixel_training": ("PixelTraining",),
    "pocketvae.apps.explorer.server": ("SiteServer",),
    "pocketvae.apps.explorer.site": (
        "SITE_MARKER",
        "export_site",
        "site_files",
    ),
    "pocketvae.apps.explorer.web_runtime": (
        "DOWNLOAD_MB",
        "runtime_files",
        "set_up_runtime",
    ),
    "pocketvae.apps.generation.generate": (
        "GenerateRequest",
        "REQUEST_NAME",
        "generate",
        "generate_to",
    ),
    "pocketvae.apps.generation.paths": (
        "LatentPath",
        "activity",
        "between",
        "tour",
    ),
    "pocketvae.apps.generation.reconstruct": (
        "Reconstruction",
        "check_reconstruction_output",
        "reconstruct",
        "write_reconstruction",
    ),
    "pocketvae.apps.generation.walks": (
        "Interpolation",
        "Traversal",
        "interpolate",
        "traverse",
    ),
    "pocketvae.apps.latents_file": (
        "check_latents_output",
        "encode_images",
        "write_latents",
    ),
    "pocketvae.apps.sources": (
        "SourceImages",
        "load_images",
        "load_items",
    ),
    "pocketvae.apps.training_sources": (
        "load_training_images",
        "load_training_items",
    ),
}

__all__ = [
    "BEST_QUALITY",
    "DECOMPRESSED_NAME",
    "DEFAULT_QUALITY",
    "DOWNLOAD_MB",
    "REQUEST_NAME",
    "SITE_MARKER",
    "TABLES_NAME",
    "Calibration",
    "Choice",
    "CodecTables",
    "Decompressed",
    "Features",
    "GenerateRequest",
    "Interpolation",
    "LatentPath",
    "PixelTraining",
    "Reconstruction",
    "Sampling",
    "ScoreKind",
    "ScoreResult",
    "SiteServer",
    "SourceImages",
    "Traversal",
    "activity",
    "approximations",
    "auroc",
    "between",
    "calibrate",
    "check_decompressed_output",
    "check_latents_output",
    "check_lossless",
    "check_reconstruction_output",
    "check_score",
    "compress_lossless",
    "compress_lossy",
    "decompress",
    "default_score",
    "encode_images",
    "export_site",
    "fit_tables",
    "generate",
    "generate_to",
    "image_count",
    "image_features",
    "interpolate",
    "load_images",
    "load_items",
    "load_tables",
    "load_training_images",
    "load_training_items",
    "reconstruct",
    "roc_curve",
    "roc_svg",
    "runtime_files",
    "score_csv",
    "score_json",
    "score_result",
    "scores",
    "set_up_runtime",
    "site_files",
    "tour",
    "traverse",
    "write_decompressed",
    "write_latents",
    "write_reconstruction",
]

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
