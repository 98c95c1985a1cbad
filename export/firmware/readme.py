"""The README of a firmware project: what it holds, what it needs, and what was built and run."""

from __future__ import annotations

from collections.abc import Mapping

from pocketvae.bundle.manifest import Manifest
from pocketvae.export.firmware.check import CheckResult
from pocketvae.export.firmware.code import PACKAGE, channel_names
from pocketvae.export.firmware.plan import Firmware
from pocketvae.portability.tflm import TFLM_VERSION
from pocketvae.portability.vela import VELA_VERSION
from pocketvae.reporting.templates import render

_FILES: Mapping[str, str] = {
    "model_data.h, model_data.cc": "the model, aligned, in flash",
    "pocketvae_model.h, pocketvae_model.cc": "the class Model: its memory, its inputs and outputs",
    "self_test.cc, golden_data.h, golden_data.cc": "a program that compares outputs with golden samples",
    "main.cc, board.h, board_host.cc": "an example, and what it needs of a board",
    "CMakeLists.txt, cortex-m.cmake": "the build, for this machine or a Cortex-M",
    "pocketvae-firmware.json": "what was written: firmware --force replaces nothing that you changed or added",
}


def readme(firmware: Firmware, manifest: Manifest, result: CheckResult | None) -> str:
    """Returns its text.

    Args:
        firmware: The project.
        manifest: Of the bundle.
        result: How the self-test went here; None where it did not run.
    """
    return render(PACKAGE, "readme.md.j2", _values(firmware, manifest, result))


def _values(firmware: Firmware, manifest: Manifest, result: CheckResult | None) -> dict[str, object]:
    window, estimate = firmware.window, firmware.estimate
    channels = (
        [
            (name, f"{mean:.6g}", f"{scale:.6g}", str(width))
            for name, mean, scale, width in zip(
                channel_names(manifest.vae, window), window.means, window.scales, window.widths, strict=True
            )
        ]
        if window
        else []
    )
    return {
        "name": manifest.name,
        "artifact": firmware.artifact.name,
        "sha256": firmware.artifact.file.sha256,
        "files": list(_FILES.items()),
        "memory": firmware.memory,
        "allocations": [(part, f"{size:,}") for part, size in firmware.memory.allocations],
        "memory_rows": firmware.memory.rows(),
        "kernels": [(item.operator, str(item.count), f"Add{item.title}()") for item in firmware.kernels],
        "interface": _tensor_rows(firmware),
        "window": window,
        "channels": channels,
        "is_scorer": firmware.threshold is not None,
        "threshold": f"{firmware.threshold:.6g}" if firmware.threshold is not None else "",
        "checks": [
            (item.tensor.spec.name, limit.metric, limit.text, limit.source)
            for item in firmware.test.outputs
            for limit in item.limits
        ],
        "sample_count": firmware.test.count,
        "unchecked": ", ".join(firmware.test.unchecked),
        "tflm": TFLM_VERSION,
        "result": result,
        "estimate": estimate,
        "remarks": list(estimate.remarks()) if estimate else [],
        "vela": VELA_VERSION,
    }


def _tensor_rows(firmware: Firmware) -> list[tuple[str, str, str, str]]:
    rows = []
    for role, tensors in (("input", firmware.interface.inputs), ("output", firmware.interface.outputs)):
        for item in tensors:
            numbers = item.quantization
            real = f"{numbers.scale:.6g} * (integer - {numbers.zero_point})" if numbers else "the value itself"
            rows.append((role, item.spec.name, f"{item.spec.dtype}{list(item.spec.shape)}", real))
    return rows
