"""The Python code of the guide, for LiteRT and for onnxruntime."""

from __future__ import annotations

from collections.abc import Sequence

from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.export.guide.parts import Part, make_images
from pocketvae.spec import Quantization, TensorSpec, VaeSpec

_LITERT = '''\
import numpy as np
from ai_edge_litert.interpreter import Interpreter


def load(path, num_threads=1):
    """Returns a function of named inputs that returns a dict of outputs; not for several threads at once."""
    interpreter = Interpreter(model_path=path, num_threads=num_threads)
    return interpreter.get_signature_runner("serving_default")
'''
_ONNXRUNTIME = '''\
import numpy as np
import onnxruntime as ort


def load(path, num_threads=1):
    """Returns a function of named inputs that returns a dict of outputs."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = num_threads
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda **inputs: dict(zip(names, session.run(names, inputs)))
'''


def litert_code(parts: Sequence[Part]) -> str:
    """Returns a module that runs TFLite files."""
    return _code(_LITERT, parts)


def onnxruntime_code(parts: Sequence[Part]) -> str:
    """Returns a module that runs ONNX files."""
    return _code(_ONNXRUNTIME, parts)


def integer_code(artifact: ArtifactRecord) -> str:
    """Returns a module that runs a file of integer inputs and outputs on real numbers."""
    name = str(artifact.component)
    feeds = ", ".join(f"{item.name}={_to_integers(item)}" for item in artifact.inputs)
    outputs = ", ".join(_to_reals(item) for item in artifact.outputs)
    arguments = ", ".join(item.name for item in artifact.inputs)
    return f"""{_LITERT}

def quantize(real, scale, zero_point, dtype):
    limits = np.iinfo(dtype)
    return np.clip(np.round(real / scale) + zero_point, limits.min, limits.max).astype(dtype)


def dequantize(integers, scale, zero_point):
    return ((integers.astype(np.float64) - zero_point) * scale).astype(np.float32)


{name} = load("{artifact.file.path}")


def run({arguments}):
    outputs = {name}({feeds})
    return {outputs}
"""


def _code(head: str, parts: Sequence[Part]) -> str:
    loads = "\n".join(f'{part.component} = load("{part.artifact.file.path}")' for part in parts)
    functions = "\n\n".join(_function(part) for part in parts)
    pixels = f"\n\n{_pixels(parts[0].vae)}" if make_images(parts) else ""
    return f"{head}\n\n{loads}\n\n\n{functions}{pixels}"


def _function(part: Part) -> str:
    arguments = ", ".join(item.name for item in part.inputs)
    feeds = [f"{item.name}=np.asarray({item.name}, np.{item.dtype}).reshape({item.shape})" for item in part.inputs]
    outputs = ", ".join(f'outputs["{item.name}"]' for item in part.outputs)
    return f"""def {part.function}({arguments}):
    \"\"\"{_shapes(part.inputs)} to {_shapes(part.outputs)}.\"\"\"
    outputs = {part.component}(
        {(chr(10) + "        ").join(feed + "," for feed in feeds)}
    )
    return {outputs}
"""


def _shapes(tensors: Sequence[TensorSpec]) -> str:
    return ", ".join(f"{item.name} {list(item.shape)} {item.dtype}" for item in tensors)


def _pixels(vae: VaeSpec) -> str:
    low, high = vae.image_range
    return f'''def to_pixels(image):
    """An image to {list(vae.image_shape)} uint8, {low:g} being black and {high:g} white."""
    levels = (np.asarray(image) - {low!r}) * {255 / (high - low)!r}
    return np.clip(np.floor(levels + 0.5), 0, 255).astype(np.uint8).reshape({vae.image_shape})
'''


def _to_integers(item: TensorSpec) -> str:
    if item.quantization is None:
        return f"np.asarray({item.name}, np.{item.dtype}).reshape({item.shape})"
    return f"quantize(np.asarray({item.name}).reshape({item.shape}), {_numbers(item.quantization)}, np.{item.dtype})"


def _to_reals(item: TensorSpec) -> str:
    value = f'outputs["{item.name}"]'
    return value if item.quantization is None else f"dequantize({value}, {_numbers(item.quantization)})"


def _numbers(quantization: Quantization) -> str:
    return f"{quantization.scale!r}, {quantization.zero_point}"
