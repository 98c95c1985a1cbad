"""The platforms that apps are written for, and what each one's runtime reads."""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping

from pocketvae.spec import Format


class Platform(enum.StrEnum):
    """Where an app runs."""

    ANDROID = "android"
    IOS = "ios"
    WEB = "web"
    FLUTTER = "flutter"
    REACT_NATIVE = "react-native"


# What the runtimes of each project read; the web has one for either.
FORMATS: Mapping[Platform, tuple[Format, ...]] = {
    Platform.ANDROID: (Format.TFLITE,),
    Platform.IOS: (Format.ONNX,),
    Platform.WEB: (Format.TFLITE, Format.ONNX),
    Platform.FLUTTER: (Format.TFLITE,),
    Platform.REACT_NATIVE: (Format.TFLITE,),
}

_APACHE = "https://www.apache.org/licenses/LICENSE-2.0"
_MIT = "https://opensource.org/license/mit"
_LITERT = ("LiteRT", "Apache-2.0", _APACHE)
_ONNXRUNTIME = ("onnxruntime", "MIT", _MIT)
# What an app of each platform contains besides: name, licence and where it is.
_RUNTIMES: Mapping[Platform, tuple[tuple[str, str, str], ...]] = {
    Platform.ANDROID: (_LITERT, ("AndroidX", "Apache-2.0", _APACHE)),
    Platform.IOS: (_ONNXRUNTIME,),
    Platform.WEB: (("LiteRT.js", "Apache-2.0", _APACHE), ("onnxruntime-web", "MIT", _MIT)),
    Platform.FLUTTER: (
        _LITERT,
        ("tflite_flutter", "Apache-2.0", _APACHE),
        ("Flutter", "BSD-3-Clause", "https://opensource.org/license/bsd-3-clause"),
    ),
    Platform.REACT_NATIVE: (_LITERT, ("react-native-fast-tflite", "MIT", _MIT), ("React Native", "MIT", _MIT)),
}
# Of an app with several, what each reads.
_READS = {"LiteRT.js": Format.TFLITE, "onnxruntime-web": Format.ONNX}


def runtimes(platform: Platform, formats: Collection[Format]) -> tuple[tuple[str, str, str], ...]:
    """Returns what an app contains besides a model in these formats: name, licence and where the licence is."""
    return tuple(item for item in _RUNTIMES[platform] if _READS.get(item[0]) in (None, *formats))
