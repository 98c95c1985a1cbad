"""Loading and saving Keras models; the only TensorFlow import in core.

TensorFlow takes seconds to import and prints to stderr meanwhile, so it is imported here, once and quietly.
"""

from __future__ import annotations

import contextlib
import gc
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pocketvae.errors import ExportError, TargetError, TrainingError, missing_package
from pocketvae.keras.custom_code import NO_CUSTOM_CODE, CustomCode, custom_parts
from pocketvae.keras.files import ModelKind, read_header, under_its_ending
from pocketvae.keras.model_form import Flavour
from pocketvae.keras.saved_model import impure_operators
from pocketvae.keras.scopes import keep_layer_names
from pocketvae.parsing import sentences
from pocketvae.system.quiet import quiet_stderr

_ONEDNN = "TF_ENABLE_ONEDNN_OPTS"


def open_graph(graph: Any) -> Any:
    """Returns a session of a TensorFlow graph that runs it on any CPU.

    TensorFlow joins a convolution with the bias and the activation behind it, and without oneDNN has no kernel for the
    two where the convolution is grouped.
    """
    v1 = import_tensorflow().compat.v1
    config = v1.ConfigProto()
    if any(_is_grouped(operator) for operator in graph.get_operations()):
        config.graph_options.rewrite_options.remapping = 2  # RewriterConfig.OFF
    return v1.Session(graph=graph, config=config)


def _is_grouped(operator: Any) -> bool:
    if operator.type != "Conv2D" or any(tensor.shape.rank != 4 for tensor in operator.inputs):
        return False
    data, kernel = operator.inputs
    axis = 1 if operator.get_attr("data_format") == b"NCHW" else 3
    return bool(data.shape[axis] != kernel.shape[2])


def import_tensorflow(*, onednn: bool = False) -> Any:
    """Imports TensorFlow with its start-up messages held back and returns the module.

    oneDNN's custom operations are switched off unless asked for, here or in the caller's environment: they reorder
    sums, so the same model would give different results on another CPU. If TensorFlow is already imported, the choice
    has been made.

    Args:
        onednn: Switch them on; on CPUs with wide vectors they train convolutions about twice as fast.

    Raises:
        TargetError: TensorFlow is not installed.
    """
    if "tensorflow" in sys.modules:
        return sys.modules["tensorflow"]
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    chosen = os.environ.get(_ONEDNN)
    os.environ[_ONEDNN] = chosen or ("1" if onednn else "0")
    try:
        with quiet_stderr(), _without_scipy(), _quickly():
            import tensorflow

            # On a machine without a GPU the first search for one prints an error, so it happens here.
            tensorflow.config.list_physical_devices()
    except ImportError as e:
        raise missing_package("tensorflow", "train") from e
    finally:
        # TensorFlow reads it once; a conversion worker started later makes its own choice.
        if chosen is None:
            del os.environ[_ONEDNN]
    return tensorflow


def start_tensorflow(*, onednn: bool, threads: int, remapped: bool = True) -> Any:
    """Imports TensorFlow for one long job with a given number of threads.

    Args:
        onednn: See `import_tensorflow`.
        threads: Threads used by one operation; 0 for one per core.
        remapped: Let its remapper fuse layers. Where that would fail, it prints an error and changes nothing.

    Raises:
        TargetError: TensorFlow is not installed.
        TrainingError: TensorFlow already runs with another number of threads.
    """
    tf = import_tensorflow(onednn=onednn)
    if threads and tf.config.threading.get_intra_op_parallelism_threads() != threads:
        try:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(threads)
        except RuntimeError as e:
            raise TrainingError("TensorFlow's threads cannot be changed after its first operation") from e
    # Always said, so that a second job of the same process begins like the first of another.
    tf.config.optimizer.set_experimental_options({"remapping": remapped})
    return tf


def import_keras() -> Any:
    """Imports Keras 2 (`tf_keras`) quietly and returns the module.

    Raises:
        TargetError: TensorFlow or tf-keras is not installed.
    """
    import_tensorflow()
    try:
        with quiet_stderr(), _without_scipy(), _quickly():
            import tf_keras
    except ImportError as e:
        raise missing_package("tf-keras", "train") from e
    return tf_keras


@contextlib.contextmanager
def _quickly() -> Iterator[None]:
    """Leaves out what an import would do again and again: a tenth of TensorFlow's.

    The garbage collector would look at what is imported as it grows, and TensorFlow asks twice in a row for the
    signature of each of its functions.
    """
    known: tuple[object, Any] = (object(), None)
    real, collects = inspect.signature, gc.isenabled()

    def signature(called: Any, **options: Any) -> Any:
        nonlocal known
        if options:
            return real(called, **options)
        of, found = known
        if of is not called:
            found = real(called)
            known = called, found
        return found

    gc.disable()
    inspect.signature = signature  # type: ignore[assignment]
    try:
        yield
    finally:
        inspect.signature = real
        if collects:
            gc.enable()


@contextlib.contextmanager
def _without_scipy() -> Iterator[None]:
    """Hides SciPy meanwhile, unless it is imported already.

    Keras 2 imports it to augment images, which nothing here does: a seventh of the time that TensorFlow takes, in each
    process of an export.
    """
    if "scipy" in sys.modules:
        yield
        return
    sys.modules["scipy"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["scipy"]


def import_keras3() -> Any:
    """Imports Keras 3 on TensorFlow quietly and returns the module.

    Raises:
        TargetError: TensorFlow or Keras 3 is not installed, or Keras 3 runs on another backend in this process.
    """
    tf = import_tensorflow()
    os.environ["KERAS_BACKEND"] = "tensorflow"
    try:
        with quiet_stderr():
            import keras
    except ImportError as e:
        raise missing_package("keras", "train") from e
    if keras.backend.backend() != "tensorflow":
        raise TargetError(f"Keras 3 must run on TensorFlow here, got {keras.backend.backend()}")
    keep_layer_names(tf)
    return keras


def import_flavour(flavour: Flavour) -> Any:
    """Imports the library that loads a flavour: Keras 2, Keras 3, TensorFlow or onnxruntime.

    Raises:
        TargetError: it is not installed.
    """
    imports: dict[Flavour, Callable[[], Any]] = {
        Flavour.KERAS2: import_keras,
        Flavour.KERAS3: import_keras3,
        Flavour.SAVED_MODEL: import_tensorflow,
        Flavour.ONNX: import_onnxruntime,
    }
    return imports[flavour]()


def import_onnxruntime() -> Any:
    """Imports onnxruntime.

    Raises:
        TargetError: it is not installed.
    """
    try:
        import onnxruntime
    except ImportError as e:
        raise missing_package("onnxruntime", "run") from e
    return onnxruntime


def load_model(path: Path, flavour: Flavour = Flavour.KERAS2, code: CustomCode = NO_CUSTOM_CODE) -> Any:
    """Loads a Keras model without its optimizer.

    What may do more than compute is looked for first, see `custom_parts`; the file is recognised by its content.

    Args:
        path: An archive of Keras or an HDF5 file.
        flavour: Keras 2 or Keras 3.
        code: Which custom code may run.

    Raises:
        ExportError: the file is missing, damaged or needs custom objects.
        TargetError: TensorFlow or tf-keras is not installed.
    """
    if not path.is_file():
        raise ExportError(f"{path} does not exist")
    kind = _checked_kind(path, code)
    keras = import_flavour(flavour)
    objects, named = code.objects(), path
    try:
        with under_its_ending(path, kind) as named:
            return keras.models.load_model(
                str(named), custom_objects=objects, compile=False, safe_mode=not code.allowed
            )
    except Exception as e:  # Keras raises whatever its zip, HDF5 or JSON reader ran into
        # A copy under another name is gone when the message is read.
        reason = (str(e).strip() or type(e).__name__).splitlines()[0].replace(str(named), str(path))
        raise ExportError(f"{path} cannot be loaded as a Keras model: {sentences(reason)}") from e


def _checked_kind(path: Path, code: CustomCode) -> ModelKind:
    refused = f"{path} cannot be loaded as a Keras model: "
    try:
        header = read_header(path)
    except ExportError as e:
        raise ExportError(f"{refused}{str(e).replace(f'{path} is', 'it is', 1)}") from e
    parts = custom_parts(header.config)
    if parts and not code.allowed:
        raise ExportError(f"{refused}it needs custom code ({', '.join(parts[:5])})")
    return header.kind


def load_saved_model(path: Path, code: CustomCode = NO_CUSTOM_CODE) -> Any:
    """Loads a SavedModel folder with TensorFlow only.

    Raises:
        ExportError: the folder is damaged, or has operators that do more than compute and are not allowed.
        TargetError: TensorFlow is not installed.
    """
    operators = () if code.allowed else impure_operators(path)
    if operators:
        raise ExportError(
            f"{path} has operators that reach files or run Python ({', '.join(operators[:5])}): "
            f"pass --allow-custom-code if you trust it"
        )
    tf = import_tensorflow()
    try:
        return tf.saved_model.load(str(path))
    except Exception as e:  # TensorFlow raises whatever its protocol buffers or its checkpoint reader ran into
        reason = (str(e).strip() or type(e).__name__).splitlines()[0]
        raise ExportError(f"{path} cannot be loaded as a SavedModel: {sentences(reason)}") from e


def save_model(model: Any, path: Path) -> None:
    """Saves a Keras 2 model, architecture and weights, in the `.keras` format.

    Raises:
        OSError: the disk is full, or the folder cannot be written.
    """
    try:
        # tf_keras 2.21 takes "keras" for HDF5 in a thread that did not import it, from the second file on.
        model.save(path, save_format="keras_v3")
    except OSError as e:
        raise OSError(e.errno, e.strerror or str(e), str(path)) from e


@contextlib.contextmanager
def tensorflow_writes(path: Path) -> Iterator[None]:
    """Converts TensorFlow's errors about writing to disk in the block into a clear message.

    Raises:
        TrainingError: names `path`.
    """
    try:
        yield
    except import_tensorflow().errors.OpError as e:
        # The system's message ends the first line: "{{node}} FILE; No space left on device [Op:SaveV2]".
        reason = str(e.message).splitlines()[0].rpartition("; ")[2].partition(" [Op:")[0]
        raise TrainingError(f"{path} cannot be written: {reason}") from e
