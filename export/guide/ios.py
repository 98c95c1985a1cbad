"""The Swift code of the guide, for TensorFlowLiteSwift and for onnxruntime on Apple devices."""

from __future__ import annotations

from collections.abc import Sequence

from pocketvae.export.guide.parts import Part, camel, is_scalar, make_images, size
from pocketvae.spec import TensorSpec, VaeSpec

_TYPES = {"float32": "Float", "int32": "Int32"}
_ELEMENTS = {"float32": ".float", "int32": ".int32"}


def tensorflow_lite_code(parts: Sequence[Part]) -> str:
    """Returns a file with one class per component that runs TFLite files."""
    return "\n\n".join(["import Foundation\nimport TensorFlowLite", *map(_tflite_class, parts), *_pixels(parts)])


def onnxruntime_code(parts: Sequence[Part]) -> str:
    """Returns a file with one class per component that runs ONNX files."""
    return "\n\n".join(["import Foundation\nimport onnxruntime_objc", *map(_onnx_class, parts), *_pixels(parts)])


def _tflite_class(part: Part) -> str:
    name, _, ending = part.artifact.file.path.rpartition(".")
    feeds = ", ".join(f'"{item.name}": {_data(item)}' for item in part.inputs)
    outputs = [f'floats(try runner.output(named: "{item.name}").data)' for item in part.outputs]
    return f"""/// {part.about}. Not for several threads at once.
final class {part.class_name} {{
    private let interpreter: Interpreter
    private let runner: SignatureRunner

    init(threadCount: Int = 1) throws {{
        guard let path = Bundle.main.path(forResource: "{name}", ofType: "{ending}") else {{
            throw CocoaError(.fileNoSuchFile)
        }}
        var options = Interpreter.Options()
        options.threadCount = threadCount
        interpreter = try Interpreter(modelPath: path, options: options)
        runner = try interpreter.signatureRunner(with: "serving_default")
        try runner.allocateTensors()
    }}

    func {part.function}({_arguments(part)}) throws -> {_return_type(part)} {{
{_checks(part)}        try runner.invoke(with: [{feeds}])
        return {_returned(outputs)}
    }}

    private func floats(_ data: Data) -> [Float] {{
        data.withUnsafeBytes {{ Array($0.bindMemory(to: Float.self)) }}
    }}
}}"""


def _onnx_class(part: Part) -> str:
    name, _, ending = part.artifact.file.path.rpartition(".")
    values = "\n".join(
        f"""        let {camel(item.name)}Value = try ORTValue(
            tensorData: NSMutableData(data: {_data(item)}), elementType: {_ELEMENTS[item.dtype]},
            shape: {_numbers(item.shape)})"""
        for item in part.inputs
    )
    feeds = ", ".join(f'"{item.name}": {camel(item.name)}Value' for item in part.inputs)
    names = ", ".join(f'"{item.name}"' for item in part.outputs)
    outputs = [f'try floats(outputs["{item.name}"])' for item in part.outputs]
    return f"""/// {part.about}.
final class {part.class_name} {{
    private let environment: ORTEnv
    private let session: ORTSession

    init(threadCount: Int32 = 1) throws {{
        guard let path = Bundle.main.path(forResource: "{name}", ofType: "{ending}") else {{
            throw CocoaError(.fileNoSuchFile)
        }}
        environment = try ORTEnv(loggingLevel: .warning)
        let options = try ORTSessionOptions()
        try options.setIntraOpNumThreads(threadCount)
        session = try ORTSession(env: environment, modelPath: path, sessionOptions: options)
    }}

    func {part.function}({_arguments(part)}) throws -> {_return_type(part)} {{
{_checks(part)}{values}
        let outputs = try session.run(
            withInputs: [{feeds}], outputNames: [{names}], runOptions: nil)
        return {_returned(outputs)}
    }}

    private func floats(_ value: ORTValue?) throws -> [Float] {{
        guard let data = try value?.tensorData() as Data? else {{ throw CocoaError(.coderReadCorrupt) }}
        return data.withUnsafeBytes {{ Array($0.bindMemory(to: Float.self)) }}
    }}
}}"""


def _arguments(part: Part) -> str:
    def kind(item: TensorSpec) -> str:
        return _TYPES[item.dtype] if is_scalar(item) else f"[{_TYPES[item.dtype]}]"

    return ", ".join(f"{camel(item.name)}: {kind(item)}" for item in part.inputs)


def _checks(part: Part) -> str:
    lines = [
        f'        precondition({camel(item.name)}.count == {size(item)}, "{item.name} has {size(item)} values")\n'
        for item in part.inputs
        if not is_scalar(item)
    ]
    return "".join(lines)


def _data(item: TensorSpec) -> str:
    name = f"[{camel(item.name)}]" if is_scalar(item) else camel(item.name)
    return f"{name}.withUnsafeBytes {{ Data($0) }}"


def _return_type(part: Part) -> str:
    if len(part.outputs) == 1:
        return "[Float]"
    return "(" + ", ".join(f"{camel(item.name)}: [Float]" for item in part.outputs) + ")"


def _returned(values: Sequence[str]) -> str:
    return values[0] if len(values) == 1 else f"({', '.join(values)})"


def _numbers(shape: Sequence[int]) -> str:
    return "[" + ", ".join(str(number) for number in shape) + "]"


def _pixels(parts: Sequence[Part]) -> list[str]:
    if not make_images(parts):
        return []
    vae: VaeSpec = parts[0].vae
    low, high = vae.image_range
    return [
        f"""/// An image to bytes, rows, columns, channels {list(vae.image_shape)}; {low:g} is black, {high:g} is white.
func toPixels(_ image: [Float]) -> [UInt8] {{
    image.map {{ UInt8(min(max((($0 - {low}) * {255 / (high - low)}).rounded(), 0), 255)) }}
}}"""
    ]
