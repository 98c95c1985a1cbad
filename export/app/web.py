"""The project for the web: a page with LiteRT.js and onnxruntime-web, a small server, and the goldens as its test."""

from __future__ import annotations

import json

from pocketvae.export.app.content import Files, model_code, model_files, rendered
from pocketvae.export.app.plan import AppPlan
from pocketvae.spec import Format
from pocketvae.system.tools.npm import LITERT_JS_VERSION, ONNXRUNTIME_WEB_VERSION

# Where the page finds packages; what a bundler or Node.js resolves by itself.
_MODULES = "./node_modules"
_WASM = f"{_MODULES}/@litertjs/core/wasm/"


def web_files(plan: AppPlan) -> Files:
    """Returns the files of the project by path."""
    packages, imports, modules = _runtimes(plan)
    values = {"imports": imports, "modules": modules, "packages": packages}
    templates = {
        "index.html": "web_page.html.j2",
        "app.mjs": "web_app.mjs.j2",
        "goldens.mjs": "goldens.mjs.j2",
        "server.mjs": "web_server.mjs.j2",
        "README.md": "web.md.j2",
    }
    if Format.ONNX in plan.parts:
        templates["test.mjs"] = "web_test.mjs.j2"
    scripts = {"start": "node server.mjs"} | ({"test": "node test.mjs"} if Format.ONNX in plan.parts else {})
    package = {
        "name": plan.small_name,
        "version": "1.0.0",
        "private": True,
        "type": "module",
        "scripts": scripts,
        "dependencies": packages,
    }
    files = rendered(plan, templates, **values)
    if Format.TFLITE in plan.parts:
        files["litert.mjs"] = model_code(plan, "web_litert.mjs.j2", Format.TFLITE, wasm=_WASM)
    if Format.ONNX in plan.parts:
        files["onnxruntime.mjs"] = model_code(plan, "web_onnxruntime.mjs.j2", Format.ONNX)
    return {
        **files,
        "package.json": json.dumps(package, indent=2) + "\n",
        "goldens.json": plan.goldens(),
        ".gitignore": "/node_modules/\n",
        **model_files(plan),
    }


def _runtimes(plan: AppPlan) -> tuple[dict[str, str], dict[str, str], dict[str, tuple[str, str]]]:
    """Returns packages with versions, where the page finds them, and for each runtime its module and its model."""
    packages: dict[str, str] = {}
    imports: dict[str, str] = {}
    modules: dict[str, tuple[str, str]] = {}
    if (part := plan.parts.get(Format.TFLITE)) is not None:
        for name in ("@litertjs/core", "@litertjs/wasm-utils"):
            packages[name] = LITERT_JS_VERSION
            imports[name] = f"{_MODULES}/{name}/dist/index.js"
        modules["LiteRT.js"] = ("./litert.mjs", part.path)
    if (part := plan.parts.get(Format.ONNX)) is not None:
        packages["onnxruntime-web"] = ONNXRUNTIME_WEB_VERSION
        imports["onnxruntime-web/wasm"] = f"{_MODULES}/onnxruntime-web/dist/ort.wasm.bundle.min.mjs"
        modules["onnxruntime-web"] = ("./onnxruntime.mjs", part.path)
    return packages, imports, modules
