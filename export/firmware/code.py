"""The C++ files of a firmware project."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from pocketvae.bundle.manifest import Manifest
from pocketvae.export.firmware.goldens import CLOSE, CLOSE_SHARE, ExpectedOutput, SelfTest
from pocketvae.export.firmware.plan import Firmware
from pocketvae.export.firmware.tensors import Interface
from pocketvae.export.firmware.window import Window
from pocketvae.reporting.escapes import c_float
from pocketvae.reporting.templates import render
from pocketvae.vae_spec import VaeSpec

PACKAGE = "pocketvae.export.firmware"
_VALUES_IN_A_LINE = 8
_TEMPLATES = {
    "pocketvae_model.h": "pocketvae_model.h.cpp.j2",
    "pocketvae_model.cc": "pocketvae_model.cc.cpp.j2",
    "self_test.cc": "self_test.cc.cpp.j2",
    "main.cc": "main.cc.cpp.j2",
    "board.h": "board.h.cpp.j2",
    "board_host.cc": "board_host.cc.cpp.j2",
    "CMakeLists.txt": "CMakeLists.txt.cmake.j2",
    "cortex-m.cmake": "cortex-m.cmake.j2",
}


def code_files(firmware: Firmware, manifest: Manifest) -> Mapping[str, str]:
    """Returns the text of each file by its name."""
    values = _values(firmware, manifest)
    return {name: render(PACKAGE, template, values) for name, template in _TEMPLATES.items()}


def golden_files(test: SelfTest, interface: Interface, window: Window | None, head: str) -> Mapping[str, str]:
    """Returns `golden_data.h` and `golden_data.cc`: the samples as arrays of float or whole numbers."""
    arrays: dict[str, npt.NDArray[np.generic]] = {
        f"golden_input_{item.name}": array for item, array in zip(interface.inputs, test.inputs, strict=True)
    }
    arrays |= {f"golden_output_{item.tensor.name}": item.values for item in test.outputs}
    if window is not None:
        # With which the self-test turns units of the model into those of the data.
        arrays["golden_means"] = np.array(window.means, np.float32)
        arrays["golden_scales"] = np.array(window.scales, np.float32)
    declared = [f"extern const {_type(array)} {name}[{array.size}];" for name, array in arrays.items()]
    header = [
        f"{head}#ifndef POCKETVAE_GOLDEN_DATA_H_",
        "#define POCKETVAE_GOLDEN_DATA_H_",
        "",
        "#include <stddef.h>",
        "#include <stdint.h>",
        "",
        f"constexpr size_t kGoldenCount = {test.count};",
        *declared,
        "",
        "#endif  // POCKETVAE_GOLDEN_DATA_H_",
    ]
    bodies = [f"const {_type(array)} {name}[{array.size}] = {{\n{_lines(array)}\n}};" for name, array in arrays.items()]
    return {
        "golden_data.h": "\n".join(header) + "\n",
        "golden_data.cc": f'{head}#include "golden_data.h"\n\n' + "\n".join(bodies) + "\n",
    }


def _values(firmware: Firmware, manifest: Manifest) -> dict[str, object]:
    memory, interface, window = firmware.memory, firmware.interface, firmware.window
    names = {item.spec.name for item in interface.outputs}
    main = window.tensor if window is not None else interface.inputs[0]
    return {
        "artifact": firmware.artifact.name,
        "sha256": firmware.artifact.file.sha256,
        "arena_measured": memory.arena_needed_bytes,
        "arena_source": arena_source(firmware),
        "arena_bytes": memory.arena_bytes,
        "interface": interface,
        "kernels": firmware.kernels,
        "npu": firmware.estimate is not None,
        "window": window,
        "channel_names": ", ".join(channel_names(manifest.vae, window)),
        "has_categories": window is not None and max(window.widths) > 1,
        "threshold": firmware.threshold,
        "is_scorer": {"score", "alarm"} <= names,
        "quantized_types": any(item.quantization for item in interface.inputs),
        "outputs": [_checks(item) for item in firmware.test.outputs],
        "close_share": CLOSE_SHARE,
        "main_input": main,
        "other_inputs": [item for item in interface.inputs if item is not main],
        "source_text": "time steps" if window is not None and window.steps > 1 else "items",
    }


def arena_source(firmware: Firmware) -> str:
    """Says where the arena's size comes from."""
    if firmware.memory.is_measured:
        return "measured with 64-bit pointers; 32-bit processors need less"
    return "vela's estimate of SRAM and the interpreter's tables, not measured"


def channel_names(vae: VaeSpec, window: Window | None) -> tuple[str, ...]:
    """Returns the names of a window's channels; numbers where the data have none."""
    if window is None:
        return ()
    return tuple(item.name or f"channel {number}" for number, item in enumerate(window.channels))


def _checks(expected: ExpectedOutput) -> dict[str, object]:
    """Returns one output's limits as the self-test has them."""
    by_metric = {item.metric: item.limit for item in expected.limits}
    limits = [
        {
            "metric": item.metric,
            "limit": item.limit,
            "text": f"{expected.tensor.spec.name} {item.metric} within {item.text}",
        }
        for item in expected.limits
    ]
    return {
        "tensor": expected.tensor,
        "p99_limit": by_metric.get("p99_abs", 0.0),
        "close_limit": by_metric.get(CLOSE, 0.0),
        "limits": limits,
    }


def _type(array: npt.NDArray[np.generic]) -> str:
    return "float" if np.issubdtype(array.dtype, np.floating) else "int32_t"


def _lines(array: npt.NDArray[np.generic]) -> str:
    write = c_float if _type(array) == "float" else str
    # The shortest decimal number that stands for the same float32.
    words = [write(str(value)) for value in array.reshape(-1)]
    rows = [words[start : start + _VALUES_IN_A_LINE] for start in range(0, len(words), _VALUES_IN_A_LINE)]
    return "\n".join("    " + ", ".join(row) + "," for row in rows)
