from pocketvae.benchmarks.matrix.results import Cell, CellState, MatrixResult, TargetRecord
from pocketvae.benchmarks.matrix.shipping import shipping_table
from pocketvae.system.environment import current_environment


def cell(artifact, state=CellState.WITHIN, target="npu", **figures):
    return Cell(artifact=artifact, target=target, state=state, size_bytes=2000, max_abs=0.01, figures=figures)


def test_there_is_a_line_for_each_target_and_component():
    cells = (
        cell("decoder.int8.tflite", npu_share=1.0, estimated_s=2e-4),
        cell("decoder.int8_io.tflite", npu_share=1.0, estimated_s=1e-4),
        cell("decoder.int16x8.tflite", CellState.FAILED, npu_share=1.0, estimated_s=1e-5),
        cell("encoder.int8.tflite", CellState.FAILED),
        cell("encoder.float32.onnx", CellState.LEFT_OUT),
        cell("decoder.int8.tflite", CellState.EQUAL, "host", measured_s=3e-6),
        cell("decoder.int8.tflite", CellState.NOT_RUN, "node"),
    )
    result = MatrixResult(
        passed=False,
        bundle="digits",
        seed=0,
        environment=current_environment(),
        targets=tuple(
            TargetRecord(name=name, summary="", facts={}, problem="node is not set up" if name == "node" else "")
            for name in ("npu", "host", "node")
        ),
        cells=cells,
    )
    assert shipping_table(result)[1] == [
        [
            *("npu", "decoder", "decoder.int8_io.tflite", "2", "1.0e-02", "100%", "100 µs estimated"),
            "It is the fastest of the 2 that qualify.",
        ],
        ["npu", "encoder", "nothing", "", "", "", "", "No file runs within its limits."],
        ["host", "decoder", "decoder.int8.tflite", "2", "0", "", "3.0 µs measured", "No other file qualifies."],
        ["node", "decoder", "nothing", "", "", "", "", "No file could be run."],
    ]
