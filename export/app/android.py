"""The project for Android: Gradle, Kotlin and LiteRT's CompiledModel, with the goldens as an instrumented test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pocketvae.export.app.content import Files, model_code, model_files, rendered
from pocketvae.export.app.plan import AppPlan
from pocketvae.export.guide.android_test import android_cases, android_test_files
from pocketvae.spec import Format

# Published versions: LiteRT's of its own documentation, Gradle's plugin for Android and Kotlin's of their own.
_VERSIONS: Mapping[str, str] = {
    "litert": "2.3.0",
    "android_plugin": "8.13.0",
    "kotlin": "2.2.20",
    "gradle": "8.13",
    "test_junit": "1.2.1",
    "test_runner": "1.6.2",
}
_SETTINGS = """# LiteRT depends on AndroidX.
android.useAndroidX=true
kotlin.code.style=official
org.gradle.jvmargs=-Xmx2g -Dfile.encoding=UTF-8
"""
_WRAPPER = (
    "distributionBase=GRADLE_USER_HOME\ndistributionPath=wrapper/dists\n"
    "zipStoreBase=GRADLE_USER_HOME\nzipStorePath=wrapper/dists\n"
)
_IGNORED = "/.gradle/\n/.idea/\n/.kotlin/\n/local.properties\nbuild/\n"


def android_files(plan: AppPlan) -> Files:
    """Returns the files of the project by path."""
    package = f"com.example.{plan.small_name}"
    code = f"app/src/main/java/{package.replace('.', '/')}"
    tests, untested = _tests(plan)
    values = {"package": package, "versions": _VERSIONS, "untested": untested}
    templates = {
        "settings.gradle.kts": "android_settings.kts.j2",
        "build.gradle.kts": "android_root.kts.j2",
        "app/build.gradle.kts": "android_app.kts.j2",
        "app/src/main/AndroidManifest.xml": "android_manifest.xml.j2",
        f"{code}/MainActivity.kt": "android_activity.kt.j2",
        "README.md": "android.md.j2",
    }
    wrapper = (
        f"{_WRAPPER}distributionUrl=https\\://services.gradle.org/distributions/gradle-{_VERSIONS['gradle']}-bin.zip\n"
    )
    return {
        **rendered(plan, templates, **values),
        f"{code}/Models.kt": f"package {package}\n\n{model_code(plan, 'android.kt.j2', Format.TFLITE)}",
        "gradle.properties": _SETTINGS,
        "gradle/wrapper/gradle-wrapper.properties": wrapper,
        ".gitignore": _IGNORED,
        **model_files(plan, "app/src/main/assets/"),
        **tests,
    }


def _tests(plan: AppPlan) -> tuple[Files, str]:
    """Returns the instrumented test; none, but the reason, where Kotlin cannot check the file's goldens."""
    artifact = plan.parts[Format.TFLITE].artifact
    manifest = replace(plan.bundle.manifest, artifacts=(artifact,))
    cases, left_out = android_cases(replace(plan.bundle, manifest=manifest))
    if not cases:
        return {}, "; ".join(left_out)
    return {f"app/src/{path}": content for path, content in android_test_files(plan.bundle, cases).items()}, ""
