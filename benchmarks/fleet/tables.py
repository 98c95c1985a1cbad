"""Results of a fleet as rows of text: by model of device, and by device."""

from __future__ import annotations

from statistics import median

from pocketvae.benchmarks.devices import Device, DeviceState, Fleet, ModelLatency, ModelParity, Outlier
from pocketvae.benchmarks.parity.results import Check, Verdict, VerifyResult, verdict_of
from pocketvae.benchmarks.parity.tables import NO_VERDICT, check_error_ratio, format_value, idle, worst_check
from pocketvae.reporting.text import Row, count_of, format_us, named

MODELS_LESS = ("limit", "unfinished", "on")
DEVICES_LESS = ("labels", "seconds", "limit", "target")


def parity_models_table(result: VerifyResult, fleet: Fleet) -> tuple[Row, list[Row]]:
    """Returns headers and one row per model: the check that is closest to its limit on any of its devices."""
    headers = ["model", "verdict", "devices", "unfinished", "artifacts", "closest to its limit", "value", "limit", "on"]
    rows = []
    for model, devices in fleet.models.items():
        found = [item for item in fleet.parity if item.model == model]
        failed = [item for item in found if item.failed]
        lost = sum(device.state is not DeviceState.DONE for device in devices)
        verdict = verdict_of(failed=bool(failed), complete=not lost).value if found or lost else NO_VERDICT
        row = [model, verdict, str(len(devices)), str(lost)]
        if found:
            worst = max(failed or found, key=check_error_ratio)
            what = f"{worst.artifact}: {_what(worst)}"
            row += [f"{len(found) - len(failed)} of {len(found)} match", what, *_values(worst, result), worst.device]
        else:
            row += ["-", "not run", "", "", ""]
        rows.append(row)
    return headers, rows


def parity_artifacts_table(result: VerifyResult, fleet: Fleet) -> tuple[Row, list[Row]]:
    """Returns headers and one row per artifact and model: its worst case, and how many devices ran it."""
    headers = ["artifact", "model", "verdict", "devices", "worst", "value", "limit", "on"]
    ordered = sorted(fleet.parity, key=lambda item: not item.failed)
    return headers, [
        [
            item.artifact,
            item.model,
            verdict_of(failed=bool(item.failed), complete=True).value,
            str(item.devices),
            _what(item),
            *_values(item, result),
            item.device,
        ]
        for item in ordered
    ]


def latency_models_table(fleet: Fleet) -> tuple[Row, list[Row]]:
    """Returns headers and one row per artifact and model: the devices' medians, and who is apart from them."""
    several = len({item.threads for item in fleet.latency}) > 1
    headers = [
        "artifact",
        "model",
        *(["threads"] if several else []),
        "devices",
        "median µs",
        "lowest µs",
        "highest µs",
    ]
    rows = [
        [
            item.artifact,
            item.model,
            *([str(item.threads)] if several else []),
            str(len(item.medians_s)),
            *(format_us(value) for value in (item.median_s, *_ends(item))),
            _outliers_text(item),
        ]
        for item in fleet.latency
    ]
    return [*headers, "outliers"], rows


def outliers_table(fleet: Fleet) -> tuple[Row, list[Row]]:
    """Returns headers and one row per device that is apart from its model, the farthest first: in how many figures."""
    found: dict[str, list[Outlier]] = {}
    for outlier in (outlier for item in fleet.latency for outlier in item.outliers):
        found.setdefault(outlier.device, []).append(outlier)
    headers = ["device", "times its model", "figures", "largest score", "model", "labels"]
    rows = []
    for device in sorted(found, key=lambda name: -max(abs(outlier.score) for outlier in found[name])):
        timed = sum(device in item.medians_s for item in fleet.latency)
        times = median(outlier.ratio for outlier in found[device])
        score = max((outlier.score for outlier in found[device]), key=abs)
        known = next(item for item in fleet.devices if item.name == device)
        figures = f"{len(found[device])} of {timed}"
        rows.append([device, f"{times:.2f}", figures, f"{score:.1f}", known.model, labels_text(known)])
    return headers, rows


def labels_text(device: Device) -> str:
    """Returns the labels of a device but for that of its model."""
    return ", ".join(f"{name} {value}" for name, value in device.labels.items() if value != device.model)


def devices_table(fleet: Fleet, result: VerifyResult | None = None) -> tuple[Row, list[Row]]:
    """Returns headers and one row per device.

    Args:
        fleet: The devices.
        result: Of verify, which adds the verdict and the check closest to its limit.
    """
    headers = ["device", "model", "target", "labels", "state", "seconds"]
    rows = [
        [device.name, device.model, device.target, labels_text(device), device.state.value, f"{device.elapsed_s:.1f}"]
        for device in fleet.devices
    ]
    if result is None:
        return headers, rows
    added = [_device_parity(device, result) for device in fleet.devices]
    return [*headers, "closest to its limit", "value", "limit", "verdict"], [
        [*row, *more] for row, more in zip(rows, added, strict=True)
    ]


def device_lines(fleet: Fleet) -> list[str]:
    """Returns one line per device that could not run everything, with the reason."""
    return [f"{device.name} ({device.model}): {device.state}: {device.reason}" for device in fleet.unfinished]


def failure_lines(fleet: Fleet) -> list[str]:
    """Returns one line per artifact and model that failed: on which devices."""
    return [
        f"{item.artifact} on {len(item.failed)} of {count_of(item.devices, 'device')} of {item.model} "
        f"({named(item.failed)}): {_what(item)}"
        for item in fleet.parity
        if item.failed
    ]


def parity_line(result: VerifyResult, fleet: Fleet) -> str:
    """Returns the verdict of a verification in a sentence."""
    if result.verdict is Verdict.PASSED:
        unused = [item.target for item in idle(result)]
        where = f" that runs any; nothing ran on {named(unused)}" if unused else ""
        return f"Every artifact matches the original on every device{where}"
    failing = {name for item in fleet.parity for name in item.failed}
    if result.verdict is Verdict.FAILED:
        return f"A check failed on {len(failing)} of {count_of(len(fleet.devices), 'device')}; {fleet_line(fleet)}"
    return f"Incomplete: no check failed; {fleet_line(fleet)}"


def fleet_line(fleet: Fleet) -> str:
    """Returns a sentence: how many devices ran everything, and how many did not."""
    counts = {state: sum(device.state is state for device in fleet.devices) for state in DeviceState}
    line = f"{counts[DeviceState.DONE]} of {count_of(len(fleet.devices), 'device')} ran everything"
    parts = [
        f"{count} {words}"
        for count, words in (
            (counts[DeviceState.PARTIAL], "ran a part"),
            (counts[DeviceState.LOST], "lost"),
            (len(outliers_table(fleet)[1]), "not like their model"),
        )
        if count
    ]
    return "; ".join([line, *parts])


def _device_parity(device: Device, result: VerifyResult) -> Row:
    checks = [check for check in result.checks if check.target == device.name]
    if not checks:
        if device.state is DeviceState.DONE:
            return ["nothing ran: it supports none", "", "", NO_VERDICT]
        return ["", "", "", Verdict.INCOMPLETE.value]
    worst = worst_check(checks)
    verdict = verdict_of(failed=not worst.passed, complete=device.state is DeviceState.DONE)
    return [f"{worst.artifact}: {_what(worst)}", *_values(worst, result), verdict.value]


def _what(item: Check | ModelParity) -> str:
    return f"{item.output} {item.metric}".strip()


def _values(item: Check | ModelParity, result: VerifyResult) -> Row:
    unit = result.unit_of(item.output)
    return [format_value(value, item, unit) for value in (item.value, item.limit)]


def _ends(item: ModelLatency) -> tuple[float, float]:
    return min(item.medians_s.values()), max(item.medians_s.values())


def _outliers_text(item: ModelLatency) -> str:
    return named([f"{outlier.device} x{outlier.ratio:.2f}" for outlier in item.outliers])
