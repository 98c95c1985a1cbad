"""The project for React Native: a view on react-native-fast-tflite, with the goldens as a test on the device."""

from __future__ import annotations

import json
from collections.abc import Mapping

from pocketvae.export.app.content import Files, model_files, rendered
from pocketvae.export.app.plan import AppPlan

# Published on npm. The runtime is LiteRT 1.4.0 on Android and TensorFlow Lite 2.17 on iOS.
PACKAGES: Mapping[str, str] = {
    "react": "19.3.1",
    "react-native": "0.88.1",
    "react-native-fast-tflite": "3.0.1",
    "react-native-nitro-modules": "0.37.1",
}
DEVELOPMENT: Mapping[str, str] = {
    "@react-native-community/cli": "20.2.0",
    "@react-native-community/cli-platform-android": "20.2.0",
    "@react-native-community/cli-platform-ios": "20.2.0",
    "@react-native/babel-preset": "0.88.1",
    "@react-native/metro-config": "0.88.1",
    "@types/react": "19.3.3",
    "typescript": "5.9.3",
}
_OPTIONS = {
    "strict": True,
    "target": "es2022",
    "module": "esnext",
    "moduleResolution": "bundler",
    "jsx": "react-native",
    "lib": ["es2022"],
    "types": ["react", "react-native"],
    "resolveJsonModule": True,
    "skipLibCheck": True,
    "noEmit": True,
}


def react_native_files(plan: AppPlan) -> Files:
    """Returns the files of the project by path."""
    templates = {
        "App.tsx": "react_native_app.tsx.j2",
        "src/generator.ts": "react_native_generator.ts.j2",
        "src/goldens.ts": "react_native_goldens.ts.j2",
        "src/png.ts": "react_native_png.ts.j2",
        "index.js": "react_native_index.mjs.j2",
        "metro.config.js": "react_native_metro.mjs.j2",
        "README.md": "react_native.md.j2",
    }
    package = {
        "name": plan.small_name,
        "version": "1.0.0",
        "private": True,
        "scripts": {
            "android": "react-native run-android",
            "ios": "react-native run-ios",
            "start": "react-native start",
            "types": "tsc",
        },
        "dependencies": dict(PACKAGES),
        "devDependencies": dict(DEVELOPMENT),
    }
    return {
        **rendered(plan, templates, packages=PACKAGES),
        "package.json": _json(package),
        "app.json": _json({"name": plan.name, "displayName": plan.name}),
        "tsconfig.json": _json({"compilerOptions": _OPTIONS, "include": ["App.tsx", "src"]}),
        "babel.config.js": 'module.exports = { presets: ["module:@react-native/babel-preset"] };\n',
        "assets/goldens.json": plan.goldens(),
        ".gitignore": "/node_modules/\n",
        **model_files(plan, "assets/"),
    }


def _json(content: Mapping[str, object]) -> str:
    return json.dumps(content, indent=2) + "\n"
