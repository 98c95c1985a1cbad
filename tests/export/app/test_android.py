"""The project for Android: Kotlin compiles it, and its manifest is XML."""

from dataclasses import replace
from xml.etree import ElementTree

import pytest

from pocketvae.export.app.android import android_files
from pocketvae.export.app.plan import plan_app
from pocketvae.spec import Format


@pytest.mark.slow
def test_kotlin_compiles_the_project(demo, labelled, tmp_path, write_files, compile_kotlin):
    files = android_files(plan_app(demo, (Format.TFLITE,), "Digits"))
    paths = sorted(write_files(files, tmp_path / "digits").rglob("*.kt"))
    assert [path.name for path in paths] == [
        "PocketvaeMetrics.kt",
        "PocketvaeParityTest.kt",
        "MainActivity.kt",
        "Models.kt",
    ]
    # Both have the same test.
    files = android_files(plan_app(labelled, (Format.TFLITE,), "Faces"))
    more = sorted(write_files(files, tmp_path / "faces").rglob("main/**/*.kt"))
    assert "model.generate(chosen, index, kind)" in more[0].read_text("utf-8")
    main = tmp_path / "main.kt"
    main.write_text("fun main() = println(com.example.digits.MainActivity::class.simpleName)\n")
    assert compile_kotlin(*paths, *more, main, main="MainKt") == "MainActivity\n"


def test_gradle_finds_the_runtime_the_model_and_the_test(demo):
    files = android_files(plan_app(demo, (Format.TFLITE,), "Digits"))
    build = files["app/build.gradle.kts"]
    assert 'implementation("com.google.ai.edge.litert:litert:2.3.0")' in build
    assert "minSdk = 24" in build
    assert 'namespace = "com.example.digits"' in build
    assert "app/src/main/assets/generator.int8.tflite" in files
    assert "app/src/androidTest/assets/pocketvae/generator.int8.tflite" in files
    (activity,) = ElementTree.fromstring(files["app/src/main/AndroidManifest.xml"]).iter("activity")
    assert activity.get("{http://schemas.android.com/apk/res/android}name") == ".MainActivity"
    code = "app/src/main/java/com/example/digits"
    for name in ("MainActivity.kt", "Models.kt"):
        assert files[f"{code}/{name}"].startswith("package com.example.digits\n")


def test_a_bundle_of_several_batch_sizes_has_its_test(demo):
    manifest = demo.manifest
    artifacts = tuple(replace(item, batches=(1, 8)) for item in manifest.artifacts)
    several = replace(demo, manifest=replace(manifest, artifacts=artifacts))
    files = android_files(plan_app(several, (Format.TFLITE,), "Digits"))
    assert "app/src/androidTest/assets/pocketvae/generator.int8.tflite" in files
    assert "There is no golden test" not in files["README.md"]
    models = files["app/src/main/java/com/example/digits/Models.kt"]
    assert 'model.createInputBuffer("seed", "serving_default")' in models
    assert 'model.createOutputBuffer("image", "serving_default")' in models
    assert 'mapOf("image" to imageBuffer), "serving_default")' in models


def test_any_error_of_a_drawing_is_shown(demo):
    activity = android_files(plan_app(demo, (Format.TFLITE,), "Digits"))[
        "app/src/main/java/com/example/digits/MainActivity.kt"
    ]
    assert "catch (error: Exception)" in activity
    assert "LiteRtException" not in activity


def test_goldens_that_kotlin_cannot_check_are_said_to_be_missing(demo):
    manifest = demo.manifest
    artifacts = tuple(replace(item, tolerances=()) for item in manifest.artifacts)
    files = android_files(
        plan_app(replace(demo, manifest=replace(manifest, artifacts=artifacts)), (Format.TFLITE,), "X")
    )
    assert not [name for name in files if "androidTest" in name]
    reason = "generator.int8.tflite: it has no limit that the test can check"
    assert f"There is no golden test, {reason}; `pocketvae verify` checks the file." in files["README.md"]
