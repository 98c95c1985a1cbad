"""The linter: which backends support which operators of a file."""

from __future__ import annotations

from pocketvae.formats.structure import check_structure
from pocketvae.formats.tflite.operators import read_operators
from pocketvae.formats.tflite.subgraphs import read_run_operators
from pocketvae.portability.litert_gpu import check_gpu
from pocketvae.portability.microcontroller import check_microcontroller
from pocketvae.portability.onnx_mobile import check_mobile
from pocketvae.portability.records import Portability
from pocketvae.portability.xnnpack import check_xnnpack
from pocketvae.spec import Format


def lint(format: Format, content: bytes) -> tuple[Portability, ...]:
    """Returns, for every backend of a format, how much of a file it supports, and what it does not and why.

    Args:
        format: Format of the file.
        content: The file.

    Raises:
        ManifestError: the file is damaged.
        ParityError: its runtime cannot load it.
        TargetError: a package that is needed is not installed.
    """
    check_structure(format, content)
    if format is Format.ONNX:
        return check_mobile(content)
    main = read_operators(content)[0]
    return (check_xnnpack(content, main), check_gpu(main), check_microcontroller(read_run_operators(content)))
