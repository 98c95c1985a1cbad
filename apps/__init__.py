"""What a device does with a bundle: generate, reconstruct, compress, score, explore. No TensorFlow."""

from pocketvae.apps.calibration import Calibration, calibrate
from pocketvae.apps.choice import Choice
from pocketvae.apps.codec import Decompressed, compress_lossless, compress_lossy, decompress, image_count
from pocketvae.apps.codec_tables import TABLES_NAME, CodecTables, fit_tables, load_tables
from pocketvae.apps.decompressed_files import DECOMPRESSED_NAME, check_decompressed_output, write_decompressed
from pocketvae.apps.features import Features, Sampling, image_features
from pocketvae.apps.generate import REQUEST_NAME, GenerateRequest, generate, generate_to
from pocketvae.apps.latent_tables import BEST_QUALITY, DEFAULT_QUALITY
from pocketvae.apps.latents_file import check_latents_output, encode_images, write_latents
from pocketvae.apps.paths import LatentPath, activity, between, tour
from pocketvae.apps.pixel_training import PixelTraining
from pocketvae.apps.reconstruct import Reconstruction, check_reconstruction_output, reconstruct, write_reconstruction
from pocketvae.apps.roc import auroc, roc_curve, roc_svg
from pocketvae.apps.score_results import ScoreResult, score_csv, score_result
from pocketvae.apps.scores import ScoreKind, approximations, scores
from pocketvae.apps.site import SITE_MARKER, export_site, site_files
from pocketvae.apps.site_server import SiteServer
from pocketvae.apps.sources import SourceImages, load_images, load_training_images
from pocketvae.apps.walks import Interpolation, Traversal, interpolate, traverse
from pocketvae.apps.web_runtime import DOWNLOAD_MB, runtime_files, set_up_runtime

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
    "check_reconstruction_output",
    "compress_lossless",
    "compress_lossy",
    "decompress",
    "encode_images",
    "export_site",
    "fit_tables",
    "generate",
    "generate_to",
    "image_count",
    "image_features",
    "interpolate",
    "load_images",
    "load_tables",
    "load_training_images",
    "reconstruct",
    "roc_curve",
    "roc_svg",
    "runtime_files",
    "score_csv",
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
