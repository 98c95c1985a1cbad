"""The C++ code of the guide, for LiteRT and for onnxruntime."""

from __future__ import annotations

from collections.abc import Sequence

from pocketvae.export.guide.parts import Part, make_images, size
from pocketvae.spec import VaeSpec

_TYPES = {"float32": "float", "int32": "int32_t"}


def litert_code(parts: Sequence[Part]) -> str:
    """Returns a header with one class per component that runs TFLite files."""
    head = """#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "litert/cc/litert_compiled_model.h"
#include "litert/cc/litert_environment.h"
#include "litert/cc/litert_tensor_buffer.h"

template <typename T>
T value(litert::Expected<T> expected) {
  if (!expected) throw std::runtime_error(expected.Error().Message());
  return std::move(*expected);
}

inline void check(litert::Expected<void> expected) {
  if (!expected) throw std::runtime_error(expected.Error().Message());
}

inline size_t position(litert::Expected<std::vector<litert::StringView>> names, litert::StringView name) {
  const auto list = value(std::move(names));
  return std::find(list.begin(), list.end(), name) - list.begin();
}"""
    return "\n\n".join([head, *map(_litert_class, parts), *_pixels(parts)])


def onnxruntime_code(parts: Sequence[Part]) -> str:
    """Returns a header with one class per component that runs ONNX files."""
    head = """#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "onnxruntime_cxx_api.h"

inline Ort::SessionOptions options(int threads) {
  Ort::SessionOptions made;
  made.SetIntraOpNumThreads(threads);
  return made;
}"""
    return "\n\n".join([head, *map(_onnx_class, parts), *_pixels(parts)])


def _litert_class(part: Part) -> str:
    writes = "\n".join(
        f'    check(inputs_[position(model_.GetSignatureInputNames(), "{item.name}")].Write<{_TYPES[item.dtype]}>('
        f"{{{item.name}.data(), {item.name}.size()}}));"
        for item in part.inputs
    )
    reads = "\n".join(
        f"    std::vector<float> {item.name}({size(item)});\n"
        f'    check(outputs_[position(model_.GetSignatureOutputNames(), "{item.name}")].Read<float>('
        f"{{{item.name}.data(), {item.name}.size()}}));"
        for item in part.outputs
    )
    return f"""// {part.about}. Not for several threads at once.
class {part.class_name} {{
 public:
  explicit {part.class_name}(litert::Environment& environment, const std::string& path = "{part.artifact.file.path}")
      : model_(value(litert::CompiledModel::Create(environment, path, litert::HwAccelerators::kCpu))),
        inputs_(value(model_.CreateInputBuffers())),
        outputs_(value(model_.CreateOutputBuffers())) {{}}

  {_return_type(part)} {part.function}({_arguments(part)}) {{
{writes}
    check(model_.Run(inputs_, outputs_));
{reads}
    return {_returned(part)};
  }}

 private:
  litert::CompiledModel model_;
  std::vector<litert::TensorBuffer> inputs_, outputs_;
}};"""


def _onnx_class(part: Part) -> str:
    values = "\n".join(
        f"    const std::array<int64_t, {len(item.shape)}> {item.name}_shape{{{', '.join(map(str, item.shape))}}};\n"
        f"    values.push_back(Ort::Value::CreateTensor<{_TYPES[item.dtype]}>(\n"
        f"        memory_, {item.name}.data(), {item.name}.size(), {item.name}_shape.data(), {len(item.shape)}));"
        for item in part.inputs
    )
    inputs, outputs = (", ".join(f'"{item.name}"' for item in items) for items in (part.inputs, part.outputs))
    reads = "\n".join(
        f"    const float* {item.name}_data = results[{index}].GetTensorData<float>();\n"
        f"    std::vector<float> {item.name}({item.name}_data, {item.name}_data + {size(item)});"
        for index, item in enumerate(part.outputs)
    )
    return f"""// {part.about}.
class {part.class_name} {{
 public:
  explicit {part.class_name}(Ort::Env& environment, const ORTCHAR_T* path = ORT_TSTR("{part.artifact.file.path}"))
      : session_(environment, path, options(1)),
        memory_(Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault)) {{}}

  {_return_type(part)} {part.function}({_arguments(part)}) {{
    std::vector<Ort::Value> values;
{values}
    const char* inputs[] = {{{inputs}}};
    const char* outputs[] = {{{outputs}}};
    auto results = session_.Run(
        Ort::RunOptions{{nullptr}}, inputs, values.data(), {len(part.inputs)}, outputs, {len(part.outputs)});
{reads}
    return {_returned(part)};
  }}

 private:
  Ort::Session session_;
  Ort::MemoryInfo memory_;
}};"""


def _arguments(part: Part) -> str:
    # By value, because the runtimes ask for memory that they could write to.
    return ", ".join(f"std::array<{_TYPES[item.dtype]}, {size(item)}> {item.name}" for item in part.inputs)


def _return_type(part: Part) -> str:
    one = "std::vector<float>"
    return one if len(part.outputs) == 1 else f"std::pair<{one}, {one}>"


def _returned(part: Part) -> str:
    names = ", ".join(item.name for item in part.outputs)
    return names if len(part.outputs) == 1 else f"{{{names}}}"


def _pixels(parts: Sequence[Part]) -> list[str]:
    if not make_images(parts):
        return []
    vae: VaeSpec = parts[0].vae
    low, high = vae.image_range
    return [
        f"""// An image to bytes, rows, columns, channels {list(vae.image_shape)}; {low:g} is black, {high:g} is white.
inline std::vector<uint8_t> to_pixels(const std::vector<float>& image) {{
  std::vector<uint8_t> pixels(image.size());
  for (size_t i = 0; i < image.size(); ++i) {{
    pixels[i] = static_cast<uint8_t>(std::clamp(std::round((image[i] - {low}f) * {255 / (high - low)}f), 0.0f, 255.0f));
  }}
  return pixels;
}}"""
    ]
