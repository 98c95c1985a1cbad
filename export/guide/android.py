"""The Kotlin code of the guide, for LiteRT on Android."""

from __future__ import annotations

from collections.abc import Sequence

from pocketvae.export.guide.parts import Part, camel, is_scalar, make_images, size
from pocketvae.spec import TensorSpec, VaeSpec

_TYPES = {"float32": "FloatArray", "int32": "IntArray"}
_WRITERS = {"float32": "writeFloat", "int32": "writeInt"}


def kotlin_code(parts: Sequence[Part]) -> str:
    """Returns a file with one class per component."""
    makes_images = make_images(parts)
    imports = ["import android.content.Context"]
    imports += ["import android.graphics.Bitmap", "import android.graphics.Color"] if makes_images else []
    imports += ["import com.google.ai.edge.litert.Accelerator", "import com.google.ai.edge.litert.CompiledModel"]
    imports += ["import kotlin.math.roundToInt"] if makes_images else []
    pieces = ["\n".join(imports), *(_class(part) for part in parts)]
    pieces += [_bitmap(parts[0].vae)] if makes_images else []
    return "\n\n".join(pieces)


def _class(part: Part) -> str:
    buffers = "\n".join(
        [f'    private val {_buffer(item)} = model.createInputBuffer("{item.name}")' for item in part.inputs]
        + [f'    private val {_buffer(item)} = model.createOutputBuffer("{item.name}")' for item in part.outputs]
    )
    arguments = ", ".join(f"{camel(item.name)}: {_argument(item)}" for item in part.inputs)
    writes = "\n".join(_write(item) for item in part.inputs)
    inputs, outputs = (_map(items) for items in (part.inputs, part.outputs))
    closing = " ".join(f"{_buffer(item)}.close();" for item in (*part.inputs, *part.outputs))
    return f"""/** {part.about}. Not for several threads at once. */
class {part.class_name}(context: Context, accelerator: Accelerator = Accelerator.CPU) : AutoCloseable {{
    private val model =
        CompiledModel.create(context.assets, "{part.artifact.file.path}", CompiledModel.Options(accelerator))
{buffers}

    fun {part.function}({arguments}): {_return_type(part)} {{
{writes}
        model.run({inputs}, {outputs})
        return {_returned(part)}
    }}

    override fun close() {{
        {closing} model.close()
    }}
}}"""


def _argument(item: TensorSpec) -> str:
    return "Int" if is_scalar(item) and item.dtype == "int32" else _TYPES[item.dtype]


def _write(item: TensorSpec) -> str:
    name, writer = camel(item.name), f"{_buffer(item)}.{_WRITERS[item.dtype]}"
    if _argument(item) == "Int":
        return f"        {writer}(intArrayOf({name}))"
    check = f'        require({name}.size == {size(item)}) {{ "{item.name} has {size(item)} values" }}\n'
    return f"{check}        {writer}({name})"


def _map(items: Sequence[TensorSpec]) -> str:
    return "mapOf(" + ", ".join(f'"{item.name}" to {_buffer(item)}' for item in items) + ")"


def _return_type(part: Part) -> str:
    return "FloatArray" if len(part.outputs) == 1 else "Pair<FloatArray, FloatArray>"


def _returned(part: Part) -> str:
    reads = [f"{_buffer(item)}.readFloat()" for item in part.outputs]
    return reads[0] if len(reads) == 1 else f"Pair({', '.join(reads)})"


def _buffer(item: TensorSpec) -> str:
    return f"{camel(item.name)}Buffer"


def _bitmap(vae: VaeSpec) -> str:
    height, width, channels = vae.image_shape
    low, high = vae.image_range
    second, third = (1, 2) if channels >= 3 else (0, 0)
    return f"""/** An image to a bitmap; {low:g} is black, {high:g} is white. */
fun toBitmap(image: FloatArray): Bitmap {{
    fun level(index: Int) = ((image[index] - {low}f) * {255 / (high - low)}f).roundToInt().coerceIn(0, 255)
    val colors = IntArray({height * width}) {{ pixel ->
        val first = pixel * {channels}
        Color.rgb(level(first), level(first + {second}), level(first + {third}))
    }}
    return Bitmap.createBitmap(colors, {width}, {height}, Bitmap.Config.ARGB_8888)
}}"""
