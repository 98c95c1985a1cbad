"""What a device does with a bundle: generate, reconstruct, compress, score, explore. No TensorFlow."""

from pocketvae.apps.choice import Choice
from pocketvae.apps.generate import REQUEST_NAME, GenerateRequest, generate, generate_to
from pocketvae.apps.latents_file import check_latents_output, encode_images, write_latents
from pocketvae.apps.paths import LatentPath, activity, between, tour
from pocketvae.apps.reconstruct import Reconstruction, reconstruct, write_reconstruction
from pocketvae.apps.sources import SourceImages, load_images
from pocketvae.apps.walks import Interpolation, Traversal, interpolate, traverse

__all__ = [
    "REQUEST_NAME",
    "Choice",
    "GenerateRequest",
    "Interpolation",
    "LatentPath",
    "Reconstruction",
    "SourceImages",
    "Traversal",
    "activity",
    "between",
    "check_latents_output",
    "encode_images",
    "generate",
    "generate_to",
    "interpolate",
    "load_images",
    "reconstruct",
    "tour",
    "traverse",
    "write_latents",
    "write_reconstruction",
]
