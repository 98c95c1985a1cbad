"""Runner of ONNX artifacts on onnxruntime's CPU provider; the only place that creates sessions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pocketvae.errors import ParityError, SpecError, missing_package
from pocketvae.runtimes.base import CLOSED, UNNAMED, Array, Optimizations, Runner, check_batch, load_error, read_source
from pocketvae.spec import Format, TensorSpec

if TYPE_CHECKING:
    from pocketvae.system.files import StrPath

PROVIDER = "CPUExecutionProvider"
_DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
}


def open_session(
    content: bytes,
    *,
    num_threads: int = 1,
    optimizations: Optimizations = Optimizations.ON,
    profile: Path | None = None,
    name: str = UNNAMED,
) -> Any:
    """Returns a session.

    Args:
        content: The ONNX file.
        num_threads: Inside one inference.
        optimizations: Whether the graph is optimized.
        profile: Where onnxruntime's profiler writes, a path that it lengthens; None to leave it off.
        name: Of the file, for errors.

    Raises:
        ParityError: the file is damaged or needs an operator that onnxruntime does not support.
        TargetError: onnxruntime is not installed.
    """
    try:
        import onnxruntime as ort
    except ImportError as e:
        raise missing_package("onnxruntime", "run") from e
    options = ort.SessionOptions()
    options.intra_op_num_threads = num_threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Idle threads that spin disturb whatever else is measured or served on the machine.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0" if num_threads == 1 else "1")
    if optimizations is Optimizations.OFF:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile)
        if optimizations is Optimizations.OFF:
            # Weights that are packed at opening are left out of what the profiler tells.
            options.add_session_config_entry("session.disable_prepacking", "1")
    try:
        return ort.InferenceSession(content, options, providers=[PROVIDER])
    except Exception as e:  # onnxruntime raises many unrelated types for a file that it cannot load
        raise load_error("onnxruntime", Format.ONNX, content, name, " ".join(str(e).split())[:200]) from e


class OnnxRunner(Runner):
    """Runs one ONNX file, single stream, with as many threads as asked for."""

    def __init__(
        self, source: StrPath | bytes, *, num_threads: int, optimizations: Optimizations, batch: int = 1
    ) -> None:
        """Loads the file and builds its session.

        Raises:
            SpecError: the file does not support the batch size.
            ParityError: the file is damaged or needs an operator that onnxruntime does not support.
            TargetError: onnxruntime is not installed.
        """
        content, name = read_source(source)
        session = open_session(content, num_threads=num_threads, optimizations=optimizations, name=name)
        self._keep(session, batch, name)
        self.runtime = f"onnxruntime {version('onnxruntime')}"

    def _keep(self, session: Any, batch: int, name: str) -> None:
        """Keeps an open session and what it says of its interface."""
        self._session = session
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        self.batch, self.batches = batch, _batches(inputs)
        check_batch(batch, self.batches)
        self.inputs = {node.name: tensor_spec(node, batch, name) for node in inputs}
        self.outputs = {node.name: tensor_spec(node, batch, name) for node in outputs}
        self._output_names = list(self.outputs)

    def _invoke(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        """See `Runner._invoke`."""
        session = self._session
        if session is None:
            raise SpecError(CLOSED)
        # Sessions may be called from several threads.
        values = session.run(self._output_names, dict(feed))
        return dict(zip(self._output_names, cast("list[Array]", values), strict=True))

    def close(self) -> None:
        """See `Runner.close`."""
        self._session = None


def tensor_spec(node: object, batch: int = 1, file: str = UNNAMED) -> TensorSpec:
    """Returns an input or output as the session describes it, for a batch.

    Raises:
        ParityError: its type is unknown, or its shape is open; the message names the file.
    """
    name, kind, shape = (getattr(node, attribute) for attribute in ("name", "type", "shape"))
    if shape and not isinstance(shape[0], int):
        shape = [batch, *shape[1:]]
    if kind not in _DTYPES:
        raise ParityError(f"{file}: tensor {name!r} has the type {kind}, known: {', '.join(_DTYPES)}")
    if not all(isinstance(size, int) for size in shape):
        raise ParityError(f"{file}: tensor {name!r} must have a fixed shape, got {shape}")
    return TensorSpec(name=name, dtype=_DTYPES[kind], shape=tuple(shape))


def _batches(inputs: Sequence[object]) -> tuple[int, ...]:
    """Returns the only batch size of a file, nothing where its first dimensions are open."""
    sizes = {shape[0] for node in inputs if (shape := getattr(node, "shape", ()))}
    return tuple(size for size in sizes if isinstance(size, int))
