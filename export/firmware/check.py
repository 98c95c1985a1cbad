"""Building a firmware project on this machine and running its self-test on the library inside the tflite-micro wheel.

The wheel has TensorFlow Lite Micro's interpreter and reference kernels, and no headers: `interface.cpp.j2` declares the
few functions that the firmware calls. The library needs Python's symbols, so the program runs inside this interpreter.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pocketvae.errors import TargetError
from pocketvae.export.firmware.kernels import ETHOS_U, Kernel
from pocketvae.formats.tflite.model import schema
from pocketvae.portability.tflm import TFLM_VERSION, require_tflm, tflm_environment
from pocketvae.reporting.templates import render
from pocketvae.system.files import write_text
from pocketvae.system.temporary import temporary_directory
from pocketvae.system.tools.setup import run_tool

SELF_TEST, EXAMPLE = ("self_test.cc", "golden_data.cc"), ("main.cc", "board_host.cc")
_MODEL = ("model_data.cc", "pocketvae_model.cc")
_HEADERS = (
    "tensorflow/lite/micro/micro_allocator.h",
    "tensorflow/lite/micro/micro_interpreter.h",
    "tensorflow/lite/micro/micro_mutable_op_resolver.h",
    "tensorflow/lite/schema/schema_generated.h",
)
_OPTIONS = (
    "-std=c++17",
    "-O1",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-fno-exceptions",
    "-fno-rtti",
    "-fno-threadsafe-statics",
)
_COMPILERS = ("c++", "g++", "clang++")
_TIME_LIMIT_S = 120.0
_START = """
import ctypes, os, sys
sys.setdlopenflags(os.RTLD_NOW | os.RTLD_GLOBAL)
from tflite_micro.python.tflite_micro import _runtime
code = ctypes.CDLL(sys.argv[1]).main()
ctypes.CDLL(None).fflush(None)
os._exit(code)
"""


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """How a program went.

    Attributes:
        passed: Whether its exit code was 0.
        lines: What it printed.
        compiler: Its first line of `--version`.
    """

    passed: bool
    lines: tuple[str, ...]
    compiler: str


def require_compiler() -> str:
    """Returns the C++ compiler of this machine: that of the variable CXX, or the first on the path.

    Raises:
        TargetError: there is none.
    """
    named = os.environ.get("CXX", "")
    for name in (named,) if named else _COMPILERS:
        found = shutil.which(name)
        if found is not None:
            return found
    raise TargetError(f"--check needs a C++ compiler, and {named or 'none of c++, g++ and clang++'} is not installed")


def run_here(
    project: Path, kernels: Sequence[Kernel], program: Sequence[str] = SELF_TEST, *, given: str = ""
) -> CheckResult:
    """Builds one program of a project and runs it.

    Args:
        project: The folder with its files.
        kernels: What its resolver has.
        program: The source files of the program: `SELF_TEST` or `EXAMPLE`.
        given: What it reads from standard input.

    Raises:
        TargetError: TensorFlow Lite Micro is not set up, the compiler fails, or the program takes too long.
    """
    require_tflm()
    compiler = require_compiler()
    version = run_tool((compiler, "--version"), "asking for the compiler's version").splitlines()[0]
    with temporary_directory() as folder:
        write_interface(folder, kernels)
        built = folder / "program.so"
        sources = [str(project / name) for name in (*_MODEL, *program)]
        options = [*_OPTIONS, "-DTF_LITE_STATIC_MEMORY", f"-I{folder}", f"-I{project}", "-fPIC", "-shared"]
        run_tool([compiler, *options, *sources, "-o", str(built)], f"building {project.name}")
        return _run(built, version, given)


def write_interface(folder: Path, kernels: Sequence[Kernel]) -> None:
    """Writes the headers that stand for TensorFlow Lite Micro's, for the library in the wheel.

    What runs on an NPU is declared alone: the wheel does not have it, so that such a model compiles and does not link.
    """
    own = [item for item in kernels if item.operator != ETHOS_U]
    values = {
        "version": TFLM_VERSION,
        "kernels": own,
        "has_npu": len(own) < len(kernels),
        "parsers": sorted({item.parser for item in own}),
        "codes": {item.operator: int(getattr(schema().BuiltinOperator, item.operator)) for item in own},
    }
    write_text(folder / "interface.h", render("pocketvae.export.firmware", "interface.cpp.j2", values))
    for name in _HEADERS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_text(folder / name, '#include "interface.h"\n')


def _run(program: Path, compiler: str, given: str) -> CheckResult:
    try:
        done = subprocess.run(
            (sys.executable, "-c", _START, str(program)),
            env={**os.environ, **tflm_environment()},
            input=given,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_TIME_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as e:
        raise TargetError(f"the firmware took longer than {_TIME_LIMIT_S:g} s on this machine and was ended") from e
    lines = tuple((done.stdout + done.stderr).splitlines())
    return CheckResult(passed=done.returncode == 0, lines=lines, compiler=compiler)
