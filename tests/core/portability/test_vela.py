"""Vela's report, and a compiler that fails or hangs, played by a script."""

import os
import subprocess

import pytest

from pocketvae.errors import TargetError
from pocketvae.portability import vela
from pocketvae.portability.ethos_u import EthosU
from pocketvae.system.tools.setup import SetupStep

CHIP = EthosU.parse("ethos-u55-128")
SAID = """Warning: No configuration file specified.

Warning (supported operators) operator: DEPTH_TO_SPACE, ofm: 'image'
Reason: Unsupported opType

Warning (supported operators) operator: MUL, ofm: 'a;b'
Reason: Operation has tensor with unsupported DataType Float32 (c)
Feature-map dataTypes must be one of {"INT16", "INT8"}

"""
LAYERS = """Original Operator,NNG Operator,Target,Op Cycles,Name
Conv2D,Conv2D,NPU,120.0,conv
Mul,Passthrough,CPU,0,a;b
DepthToSpace,Passthrough,CPU,0,image
Odd,Passthrough,CPU,0,odd
"""
MEMORY = ("sram", "dram", "on_chip_flash", "off_chip_flash")
COLUMNS = ("cycles_total", "inference_time", *(f"{kind}_memory_used" for kind in MEMORY))
SUMMARY = f"{','.join(COLUMNS)}\n150,3e-07,2.0,0.0,0.5,4.0\n"


@pytest.fixture
def ready(monkeypatch):
    step = SetupStep(text="", download_bytes=0, is_done=lambda: True, take=lambda: None)
    monkeypatch.setattr(vela, "vela_step", lambda: step)


def test_the_report_is_read(ready, monkeypatch):
    def run_tool(command, doing, **options):
        assert options["environment"]["PYTHONPATH"].endswith(f"{os.pathsep}/where/pocketvae/is")
        folder = vela.Path(command[3]).parent
        (folder / "model_per-layer.csv").write_text(LAYERS)
        (folder / "model_summary_X.csv").write_text(SUMMARY)
        (folder / "model_vela.tflite").write_bytes(b"compiled")
        return SAID

    monkeypatch.setenv("PYTHONPATH", "/where/pocketvae/is")
    monkeypatch.setattr(vela, "run_tool", run_tool)
    found = vela.compile_for(CHIP, b"", "d.tflite")
    assert (found.cycles, found.time_s, found.sram_bytes, found.flash_bytes) == (150, 3e-07, 2048, 4608)
    assert (found.npu_share, found.compiled) == (0.25, b"compiled")
    assert [(item.operator, item.reason) for item in found.left] == [
        ("MUL", "Operation has tensor with unsupported DataType Float32"),
        ("DEPTH_TO_SPACE", "Unsupported opType"),
        ("Odd", "vela does not say why"),
    ]
    assert found.dearest() == ("estimated cycles by operator: Conv2D conv 100%",)
    assert found.remarks() == (
        "estimated by vela 5.2.0 for ethos-u55-128, Ethos_U55_High_End_Embedded, Shared_Sram: 150 cycles, 0 µs on the "
        "NPU, SRAM 2.0 KiB, flash 4.5 KiB; 3 of 4 operators on the CPU: "
        "MUL x1 (Operation has tensor with unsupported DataType Float32), DEPTH_TO_SPACE x1 (Unsupported opType), "
        "Odd x1 (vela does not say why)",
    )


def estimate(*operators, left=()):
    return vela.NpuEstimate(
        chip=CHIP,
        cycles=0,
        time_s=0.0,
        sram_bytes=0,
        flash_bytes=0,
        operators=tuple(vela.NpuOperator(kind=kind, name=kind, on_npu=False, cycles=0) for kind in operators),
        left=tuple(vela.LeftOnCpu(operator=kind, tensor=kind, reason="Float32") for kind in left),
        compiled=b"",
    )


def test_a_float_interface_is_not_inside():
    found = estimate("A", "QUANTIZE", "DEQUANTIZE", left=("QUANTIZE", "DEQUANTIZE"))
    assert (found.left_inside, found.figures()["cpu_operators"]) == ((), 0)


def test_nothing_on_the_npu_has_no_estimate():
    found = estimate("MUL", "ADD", left=("MUL", "ADD"))
    assert found.remarks() == (
        "vela 5.2.0 for ethos-u55-128, Ethos_U55_High_End_Embedded, Shared_Sram: nothing runs on the NPU; all 2 "
        "operators on the CPU: ADD x1, MUL x1 (Float32)",
    )


def test_an_operator_that_vela_does_not_know_is_named_by_the_file():
    (operator,) = (vela.NpuOperator(kind="None", name="shifted", on_npu=False, cycles=0),)
    said = "Warning (supported operators) operator: None, ofm: 'shifted'\nReason: Unsupported opType\n\n"
    (left,) = vela._left((operator,), said, {"shifted": "RIGHT_SHIFT"})
    assert (left.operator, left.reason) == ("RIGHT_SHIFT", "Unsupported opType")


def test_a_report_that_cannot_be_read_is_told(ready, monkeypatch):
    monkeypatch.setattr(vela, "run_tool", lambda *words, **options: "")
    with pytest.raises(TargetError, match=r"d.tflite: vela's report cannot be read \(StopIteration"):
        vela.compile_for(CHIP, b"", "d.tflite")


def test_a_compiler_that_fails_is_told(ready, monkeypatch):
    monkeypatch.setattr(vela, "_command", lambda *words: ("false",))
    with pytest.raises(TargetError, match="compiling d.tflite for ethos-u55-128 by vela failed: code 1"):
        vela.compile_for(CHIP, b"", "d.tflite")


def test_a_compiler_that_hangs_is_ended(ready, monkeypatch):
    def run(*words, **options):
        raise subprocess.TimeoutExpired(words, options["timeout"])

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(TargetError, match="compiling d.tflite for ethos-u55-128 by vela took longer than 120 s"):
        vela.compile_for(CHIP, b"", "d.tflite")


def test_a_compiler_that_is_missing_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("POCKETVAE_CACHE", str(tmp_path))
    with pytest.raises(TargetError, match="ethos-u-vela is not set up: run pocketvae targets setup ethos-u"):
        vela.compile_for(CHIP, b"", "d.tflite")
