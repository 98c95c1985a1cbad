"""What the files of every project have in common: the values of templates, licences, the record of what was written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pocketvae.errors import SpecError
from pocketvae.export.app.plan import AppPlan
from pocketvae.export.app.platforms import Platform
from pocketvae.export.guide.page import image_values
from pocketvae.export.guide.parts import Part
from pocketvae.reporting.templates import render
from pocketvae.spec import Format
from pocketvae.system.written import check_untouched, file_hashes, recorded_hashes
from pocketvae.version import VERSION

PACKAGE = "pocketvae.export.app"
GUIDE = "pocketvae.export.guide"
# By which a folder is known as a project of this command.
MARKER = "pocketvae-app.json"
Files = dict[str, str | bytes]
# What builds and editors leave in a project.
_MADE = frozenset(
    {".gradle", ".idea", ".kotlin", "build", "local.properties"}
    | {".build", ".swiftpm", "DerivedData", "Package.resolved", "Podfile.lock", "Pods", "xcuserdata"}
    | {".dart_tool", ".flutter-plugins", ".flutter-plugins-dependencies", "pubspec.lock"}
    | {"node_modules", "package-lock.json", ".DS_Store"}
)


def template_values(plan: AppPlan) -> dict[str, object]:
    """Returns what templates name."""
    some = next(iter(plan.parts.values()))
    return {
        "name": plan.name,
        "small_name": plan.small_name,
        "title": plan.bundle.manifest.name,
        "licence": plan.bundle.manifest.licence,
        "label_count": plan.label_count,
        "part": some,
        "tflite": plan.parts.get(Format.TFLITE),
        "onnx": plan.parts.get(Format.ONNX),
        "needs": _needs(some),
        "golden_count": len(plan.golden_inputs()["seed"]),
        **image_values(plan.vae),
    }


def _needs(part: Part) -> str:
    """Returns the oldest runtime of a file; empty if it is not known."""
    known = part.artifact.requires
    return f"{known.runtime} {known.version}" if known is not None and known.version else ""


def rendered(plan: AppPlan, templates: Mapping[str, str], **more: object) -> Files:
    """Returns the text of each file by its path, from the template that is named for it."""
    values = template_values(plan) | more
    return {path: render(PACKAGE, template, values) for path, template in templates.items()}


def model_code(plan: AppPlan, template: str, format: Format, **more: object) -> str:
    """Returns EMBED.md's code for the generator in one format."""
    values = {"parts": [plan.parts[format]], "makes_images": True, **image_values(plan.vae), **more}
    return render(GUIDE, template, values)


def model_files(plan: AppPlan, folder: str = "") -> Files:
    """Returns the models in a folder of the project."""
    return {
        f"{folder}{part.path}": plan.bundle.artifact_path(part.artifact).read_bytes() for part in plan.parts.values()
    }


def record(plan: AppPlan, platform: Platform, files: Files) -> str:
    """Returns the text of the file by which the project is known, with what is in it."""
    models = {part.path: part.artifact.file.sha256 for part in plan.parts.values()}
    content = {
        "name": plan.name,
        "platform": platform,
        "pocketvae": VERSION,
        "models": models,
        "files": file_hashes(files),
    }
    return json.dumps(content, indent=2, sort_keys=True) + "\n"


def check_replaceable(folder: Path, platform: Platform) -> None:
    """Checks that a project may be replaced: what a developer has made of it would be lost.

    Args:
        folder: Which may not be there.
        platform: Of the project that takes its place.

    Raises:
        SpecError: it is a project for another platform.
        OutputExistsError: files in it were changed or added.
    """
    try:
        kind = json.loads((folder / MARKER).read_bytes())["platform"]
    except (OSError, ValueError, LookupError, TypeError):
        kind = platform
    if kind != platform:
        raise SpecError(f"{folder} is a project for {kind}, not for {platform}: choose another folder")
    check_untouched(
        folder,
        recorded_hashes(folder, MARKER),
        _MADE,
        "write into another folder and copy the model and the goldens from there",
    )
