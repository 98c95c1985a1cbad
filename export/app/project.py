"""The project of an app, from a bundle: written completely or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from pocketvae.bundle.bundle import open_bundle
from pocketvae.export.app.android import android_files
from pocketvae.export.app.content import MARKER, Files, check_replaceable, record, rendered
from pocketvae.export.app.flutter import flutter_files
from pocketvae.export.app.ios import ios_files
from pocketvae.export.app.names import checked_name, default_name
from pocketvae.export.app.plan import AppPlan, plan_app
from pocketvae.export.app.platforms import FORMATS, Platform, runtimes
from pocketvae.export.app.react_native import react_native_files
from pocketvae.export.app.web import web_files
from pocketvae.spec import parse_choice
from pocketvae.system.files import check_output, write_bytes
from pocketvae.system.folders import staged_directory

__all__ = ["MARKER", "write_app"]

_WRITERS: Mapping[Platform, Callable[[AppPlan], Files]] = {
    Platform.ANDROID: android_files,
    Platform.IOS: ios_files,
    Platform.WEB: web_files,
    Platform.FLUTTER: flutter_files,
    Platform.REACT_NATIVE: react_native_files,
}


def write_app(
    bundle_path: Path, platform: str, out: Path, *, name: str | None = None, precision: str = "", force: bool = False
) -> AppPlan:
    """Writes a project that draws images from seeds, with the bundle's goldens as its test.

    Args:
        bundle_path: The bundle.
        platform: One of `Platform`.
        out: The folder to create.
        name: Of the app, an identifier in Kotlin and Swift; None for one made of the model's name.
        precision: Of the generator; empty for the one that EMBED.md recommends.
        force: Replace `out` if it is a project for the same platform that nobody has changed.

    Returns:
        What the app is made of.

    Raises:
        ManifestError: the bundle is damaged.
        SpecError: a name is unknown or no identifier, or the bundle has nothing that the app could draw.
        OutputExistsError: `out` exists and `force` is off, or files in it were changed or added.
    """
    chosen = parse_choice(Platform, platform, "platform")
    own = None if name is None else checked_name(name)
    check_output(out, force=force)
    check_replaceable(out, chosen)
    bundle = open_bundle(bundle_path)
    plan = plan_app(bundle, FORMATS[chosen], own or default_name(bundle.manifest.name), precision)
    files = project_files(plan, chosen)
    with staged_directory(out, force=force) as staging:
        for path, content in files.items():
            (staging / path).parent.mkdir(parents=True, exist_ok=True)
            write_bytes(staging / path, content if isinstance(content, bytes) else content.encode())
    return plan


def project_files(plan: AppPlan, platform: Platform) -> Files:
    """Returns the content of every file by its path."""
    licences = rendered(plan, {"LICENSES.md": "licences.md.j2"}, runtimes=runtimes(platform, plan.parts))
    files = {**_WRITERS[platform](plan), **licences}
    return {**files, MARKER: record(plan, platform, files)}
