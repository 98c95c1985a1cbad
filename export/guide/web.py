"""The JavaScript code of the guide, for onnxruntime-web and for LiteRT.js."""

from __future__ import annotations

from collections.abc import Sequence

from pocketvae.export.guide.parts import Part, is_scalar, make_images, size
from pocketvae.spec import TensorSpec, VaeSpec

_ARRAYS = {"float32": "Float32Array", "int32": "Int32Array"}


def onnxruntime_web_code(parts: Sequence[Part]) -> str:
    """Returns a module that runs ONNX files in a browser."""
    loads = "\n".join(f'const {part.component} = await load("{part.artifact.file.path}");' for part in parts)
    functions = "\n".join(_onnx_function(part) for part in parts)
    return f"""import * as ort from "onnxruntime-web/wasm";

ort.env.wasm.numThreads = 1; // more of them need cross-origin isolation

async function load(url) {{
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${{url}}: ${{response.status}}`);
  return ort.InferenceSession.create(new Uint8Array(await response.arrayBuffer()));
}}

{loads}

{functions}{_pixels(parts)}"""


def litert_js_code(parts: Sequence[Part]) -> str:
    """Returns a module that runs TFLite files in a browser."""
    loads = "\n".join(
        f'const {part.component} = await loadAndCompile("{part.artifact.file.path}", {{ accelerator: "wasm" }});'
        for part in parts
    )
    functions = "\n".join(_litert_function(part) for part in parts)
    return f"""import {{ loadAndCompile, loadLiteRt, Tensor }} from "@litertjs/core";

await loadLiteRt("/wasm/"); // where the folder wasm of the package @litertjs/core is served

{loads}

async function run(model, inputs) {{
  const outputs = await model.run(inputs);
  const values = {{}};
  for (const [name, tensor] of Object.entries(outputs)) values[name] = (await tensor.data()).slice();
  for (const tensor of [...Object.values(inputs), ...Object.values(outputs)]) tensor.delete();
  return values;
}}

{functions}{_pixels(parts)}"""


def _onnx_function(part: Part) -> str:
    feeds = ", ".join(
        f'{item.name}: new ort.Tensor("{item.dtype}", {_array(item)}, {list(item.shape)})' for item in part.inputs
    )
    return f"""{_head(part)}
  const outputs = await {part.component}.run({{ {feeds} }});
  return {_result(part, ".data")};
}}
"""


def _litert_function(part: Part) -> str:
    feeds = ", ".join(f"{item.name}: new Tensor({_array(item)}, {list(item.shape)})" for item in part.inputs)
    return f"""{_head(part)}
  const outputs = await run({part.component}, {{ {feeds} }});
  return {_result(part, "")};
}}
"""


def _head(part: Part) -> str:
    inputs = ", ".join(f"{item.name}: {size(item)} {item.dtype}" for item in part.inputs)
    outputs = ", ".join(f"{item.name} {list(item.shape)}" for item in part.outputs)
    arguments = ", ".join(item.name for item in part.inputs)
    return f"// {inputs} -> {outputs}\nexport async function {part.function}({arguments}) {{"


def _array(item: TensorSpec) -> str:
    values = f"[{item.name}]" if is_scalar(item) else item.name
    return f"{_ARRAYS[item.dtype]}.from({values})"


def _result(part: Part, member: str) -> str:
    if len(part.outputs) == 1:
        return f"outputs.{part.outputs[0].name}{member}"
    values = ", ".join(f"{item.name}: outputs.{item.name}{member}" for item in part.outputs)
    return f"{{ {values} }}"


def _pixels(parts: Sequence[Part]) -> str:
    if not make_images(parts):
        return ""
    vae: VaeSpec = parts[0].vae
    height, width, channels = vae.image_shape
    low, high = vae.image_range
    channel = "Math.min(c, 2)" if channels >= 3 else "0"
    return f"""
// An image to the bytes of an ImageData: new ImageData(toRgba(image), {width}, {height})
export function toRgba(image) {{
  const rgba = new Uint8ClampedArray({height * width * 4}).fill(255);
  for (let pixel = 0; pixel < {height * width}; pixel++) {{
    for (let c = 0; c < 3; c++) {{
      const level = (image[pixel * {channels} + {channel}] - {low!r}) * {255 / (high - low)!r};
      rgba[pixel * 4 + c] = Math.round(Math.fround(level));
    }}
  }}
  return rgba;
}}
"""
