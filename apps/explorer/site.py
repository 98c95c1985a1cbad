"""The files of the explore page: its own, the bundle's decoders and the browser's runtime; nothing from outside."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path, PurePosixPath

import numpy as np

from pocketvae.apps.choice import Choice
from pocketvae.apps.explorer.web_runtime import runtime_files
from pocketvae.apps.generation.paths import activity
from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.errors import DataError, ManifestError, SpecError
from pocketvae.models.model_bundle import ModelBundle
from pocketvae.numerics.noise import normal_table
from pocketvae.spec import Component, Format, ImageDtype
from pocketvae.system import files, folders
from pocketvae.system.written import check_nothing_else, check_untouched, file_record, recorded_hashes
from pocketvae.vae_spec import DataKind

INDEX = "index.html"
# Marks a site that explore made, so that --force may replace it.
SITE_MARKER = "noise.bin"
_PAGE_FILES = (
    INDEX,
    "explore.css",
    "explore.js",
    "embed.js",
    "latents.js",
    "models.js",
    "noise.js",
    "numbers.js",
    "pictures.js",
    "pixels.js",
)

# Says what was written into a folder.
_RECORD = "site.json"
# All that older versions wrote, which had no such record.
_OLDER_FILES = (*_PAGE_FILES, "bundle.json", SITE_MARKER, "runtime", "artifacts")
# A spatial latent has thousands of dimensions.
_MOST_SLIDERS = 64


def site_files(bundle: ModelBundle) -> dict[str, bytes | Path]:
    """Returns every file of the site: maps each relative path to its content or to the file that holds it.

    Raises:
        ManifestError: the bundle does not have an ONNX decoder that a browser can run, or not the prior it needs.
        DataError: its images cannot be shown.
        TargetError: the browser's runtime is not set up.
    """
    decoders, prior = _decoders(bundle), _prior(bundle)
    channels = bundle.vae.data_shape[-1]
    if bundle.vae.data is DataKind.IMAGE and channels not in (1, 3):
        raise DataError(f"the page shows images with 1 or 3 channels, got {channels}")
    runtime = runtime_files()  # Before the decoder computes anything.
    page = resources.files("pocketvae.apps.explorer") / "page"
    site: dict[str, bytes | Path] = {name: (page / name).read_bytes() for name in _PAGE_FILES}
    site["bundle.json"] = _description(bundle, decoders, prior)
    site[SITE_MARKER] = normal_table().astype("<f4").tobytes()
    site |= {f"runtime/{name}": path for name, path in runtime.items()}
    for record in (*decoders, *([prior] if prior else [])):
        site[f"artifacts/{record.name}"] = bundle.bundle.artifact_path(record)
    return site


def export_site(bundle: ModelBundle, out: Path, *, force: bool) -> int:
    """Writes the site to a folder that any web server can serve; returns its size in bytes.

    Raises:
        OutputExistsError: `out` exists and `force` is off, or it is a site in which something was changed or added.
    """
    check_own_site(out)
    contents = {
        name: content if isinstance(content, bytes) else content.read_bytes()
        for name, content in site_files(bundle).items()
    }
    with folders.staged_directory(out, force=force) as folder:
        for name, content in contents.items():
            path = folder / PurePosixPath(name)
            path.parent.mkdir(exist_ok=True)
            files.write_bytes(path, content)
        files.write_text(folder / _RECORD, file_record(contents))
    return sum(map(len, contents.values()))


def check_own_site(folder: Path) -> None:
    """Checks, before any work, that a folder which may be replaced is a site as it was written, or empty.

    Raises:
        OutputExistsError: something in it was changed or added.
    """
    if (folder / _RECORD).is_file():
        check_untouched(folder, recorded_hashes(folder, _RECORD))
    else:
        check_nothing_else(folder, _OLDER_FILES)


def _decoders(bundle: ModelBundle) -> tuple[ArtifactRecord, ...]:
    found = tuple(
        record
        for record in bundle.manifest.artifacts
        if record.component is Component.DECODER
        and record.format is Format.ONNX
        and record.image_dtype is ImageDtype.FLOAT32
    )
    if not found:
        raise ManifestError(
            "the bundle does not have an ONNX decoder, which the browser needs: export with --formats onnx"
        )
    return found


def _prior(bundle: ModelBundle) -> ArtifactRecord | None:
    if not bundle.vae.prior.is_learned:
        return None
    for record in bundle.manifest.artifacts:
        if record.component is Component.PRIOR and record.format is Format.ONNX:
            return record
    raise ManifestError("the bundle does not contain its learned prior as ONNX: export with --components decoder,prior")


def _description(bundle: ModelBundle, decoders: tuple[ArtifactRecord, ...], prior: ArtifactRecord | None) -> bytes:
    if bundle.vae.conditions and not bundle.vae.has_one_label:
        names = " and ".join(repr(condition.name) for condition in bundle.vae.conditions)
        raise SpecError(f"the page has a choice of one class label, but this VAE takes {names}: use pocketvae generate")
    if bundle.vae.codes:
        other = "generate" if bundle.vae.is_discrete else "traverse"
        raise SpecError(f"the page has sliders for real numbers alone, but this VAE has codes: use pocketvae {other}")
    first = decoders[0]
    decoder = Choice(precision=first.precision, format=Format.ONNX).decoder(bundle)
    active = activity(bundle, decoder, 0 if bundle.vae.label_count else None)
    document = {
        "name": bundle.manifest.name,
        "data": bundle.vae.data,
        "data_shape": bundle.vae.data_shape,
        "data_range": bundle.vae.data_range,
        "latent_dim": bundle.vae.latent_dim,
        "latents": [{"name": latent.name, "shape": latent.shape} for latent in bundle.vae.latents],
        "eps_dim": bundle.vae.eps_dim,
        "label_count": bundle.vae.label_count,
        "order": np.argsort(-active, kind="stable")[:_MOST_SLIDERS].tolist(),
        "prior": prior.name if prior else None,
        "prior_takes_label": bundle.vae.prior_takes_label,
        "decoders": [
            {"file": record.name, "precision": record.precision, "size_bytes": record.file.size_bytes}
            for record in decoders
        ],
    }
    return (json.dumps(document, sort_keys=True, indent=2) + "\n").encode()
