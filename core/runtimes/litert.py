"""Runner of TFLite artifacts on LiteRT's CPU interpreter; the only place that creates interpreters."""

from __future__ import annotations

import contextlib
import enum
import re
import threading
import warnings
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from pocketvae.errors import SpecError, missing_package
from pocketvae.runtimes.base import CLOSED, UNNAMED, Array, Optimizations, Runner, check_batch, load_error, read_source
from pocketvae.spec import Format, Quantization, TensorSpec, signature_key
from pocketvae.system.quiet import quiet_stderr

if TYPE_CHECKING:
    from pocketvae.system.files import StrPath

_BATCH_KEY = re.compile(r"batch_\d+")
_ANNOUNCED: list[bool] = []


class OperatorSet(enum.StrEnum):
    """What LiteRT's interpreter computes with; values are names of its `OpResolverType`.

    DELEGATED: XNNPACK takes what it can, the built-in kernels the rest. BUILTIN: built-in kernels without a delegate.
    REFERENCE: the portable kernels that explain what an operator is.
    """

    DELEGATED = "AUTO"
    BUILTIN = "BUILTIN_WITHOUT_DEFAULT_DELEGATES"
    REFERENCE = "BUILTIN_REF"


_BY_OPTIMIZATIONS = {Optimizations.ON: OperatorSet.DELEGATED, Optimizations.OFF: OperatorSet.BUILTIN}


def open_interpreter(
    content: bytes,
    *,
    num_threads: int = 1,
    operators: OperatorSet = OperatorSet.DELEGATED,
    keep_tensors: bool = False,
    name: str = UNNAMED,
) -> Any:
    """Returns an interpreter with its tensors allocated.

    Args:
        content: The TFLite file.
        num_threads: Inside one inference.
        operators: What computes.
        keep_tensors: Keep the values of all tensors, so that they can be read after a call.
        name: Of the file, for errors.

    Raises:
        ParityError: the file is damaged or needs an operator that LiteRT does not support.
        TargetError: ai-edge-litert is not installed.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType
    except ImportError as e:
        raise missing_package("ai-edge-litert", "run") from e
    try:
        with _quiet_once(operators), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that keeping all tensors is for debugging is why it is asked for
            interpreter = Interpreter(
                model_content=content,
                num_threads=num_threads,
                experimental_preserve_all_tensors=keep_tensors,
                experimental_op_resolver_type=OpResolverType[operators],
            )
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as e:
        raise load_error("LiteRT", Format.TFLITE, content, name, _first_line(e)) from e
    return interpreter


class LiteRtRunner(Runner):
    """Runs one TFLite file with XNNPACK, or with the built-in kernels alone."""

    def __init__(
        self, source: StrPath | bytes, *, num_threads: int, optimizations: Optimizations, batch: int = 1
    ) -> None:
        """Loads the file and allocates its tensors.

        Raises:
            SpecError: the file does not support the batch size.
            ParityError: the file is damaged or needs an operator that LiteRT does not support.
            TargetError: ai-edge-litert is not installed.
        """
        # An interpreter has one set of tensors, so a call has it for itself.
        self._lock = threading.Lock()
        content, name = read_source(source)
        self._interpreter = open_interpreter(
            content, num_threads=num_threads, operators=self._operators(optimizations), name=name
        )
        self.runtime = f"ai-edge-litert {version('ai-edge-litert')}"
        signatures = {_batch_of(runner.get_input_details()): runner for runner in _signatures(self._interpreter)}
        self.batches = tuple(sorted(signatures)) or (_batch_of(_by_name(self._interpreter.get_input_details())),)
        self.batch = batch
        check_batch(batch, self.batches)
        chosen = signatures.get(batch)
        inputs = chosen.get_input_details() if chosen else _by_name(self._interpreter.get_input_details())
        outputs = chosen.get_output_details() if chosen else _by_name(self._interpreter.get_output_details())
        self.inputs = {name: tensor_spec(name, details) for name, details in inputs.items()}
        self.outputs = {name: tensor_spec(name, details) for name, details in outputs.items()}
        # One batch size runs by the indices of its tensors, 2 µs faster than by a signature.
        self._signatures = signatures if len(signatures) > 1 else {}
        self._input_indices = {name: details["index"] for name, details in inputs.items()}
        self._output_indices = {name: details["index"] for name, details in outputs.items()}

    def _operators(self, optimizations: Optimizations) -> OperatorSet:
        return _BY_OPTIMIZATIONS[optimizations]

    def _invoke(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        """See `Runner._invoke`."""
        with self._lock:
            interpreter = self._interpreter
            if interpreter is None:
                raise SpecError(CLOSED)
            if self._signatures:
                results: dict[str, Array] = self._signatures[len(next(iter(feed.values())))](**feed)
                return results
            for name, index in self._input_indices.items():
                interpreter.set_tensor(index, feed[name])
            interpreter.invoke()
            # get_tensor copies, so the arrays survive the next call.
            return {name: interpreter.get_tensor(index) for name, index in self._output_indices.items()}

    def order(self) -> tuple[list[str], list[str]]:
        """Returns the names of inputs and outputs in the order in which the file has them."""
        in_file = (self._interpreter.get_input_details(), self._interpreter.get_output_details())
        names = [{i: n for n, i in indices.items()} for indices in (self._input_indices, self._output_indices)]
        inputs, outputs = ([known[d["index"]] for d in details] for known, details in zip(names, in_file, strict=True))
        return inputs, outputs

    def close(self) -> None:
        """See `Runner.close`."""
        with self._lock:
            self._interpreter, self._signatures = None, {}


class ReferenceRunner(LiteRtRunner):
    """The same with the portable kernels that explain what an operator is; for float32 alone, without optimizations.

    ai-edge-litert 2.3.0 ends the process when they run a quantized convolution.
    """

    def _operators(self, optimizations: Optimizations) -> OperatorSet:
        return {Optimizations.OFF: OperatorSet.REFERENCE}[optimizations]


def tensor_spec(name: str, details: Mapping[str, Any]) -> TensorSpec:
    """Returns a tensor as the interpreter describes it, under the name of the signature."""
    scale, zero_point = details["quantization"]
    return TensorSpec(
        name=name,
        dtype=np.dtype(details["dtype"]).name,
        shape=tuple(int(n) for n in details["shape"]),
        quantization=Quantization(scale=float(scale), zero_point=int(zero_point)) if scale else None,
    )


@contextlib.contextmanager
def _quiet_once(operators: OperatorSet) -> Iterator[None]:
    """Holds back the line that XNNPACK prints when a process first uses it."""
    if _ANNOUNCED or operators is not OperatorSet.DELEGATED:
        yield
        return
    with quiet_stderr():
        yield
    _ANNOUNCED.append(True)


def _signatures(interpreter: Any) -> list[Any]:
    """Returns what runs each signature of ours; of a foreign file the first one, of a file without any nothing."""
    names = list(interpreter.get_signature_list())
    ours = [name for name in names if name == signature_key(1) or _BATCH_KEY.fullmatch(name)]
    return [interpreter.get_signature_runner(name) for name in ours or names[:1]]


def _by_name(tensors: list[dict[str, Any]]) -> dict[str, Any]:
    return {tensor["name"]: tensor for tensor in tensors}


def _batch_of(details: Mapping[str, Any]) -> int:
    first = next(iter(details.values()), None)
    return int(first["shape"][0]) if first is not None and len(first["shape"]) else 1


def _first_line(e: BaseException) -> str:
    return str(e).strip().splitlines()[0][:200] if str(e).strip() else type(e).__name__
