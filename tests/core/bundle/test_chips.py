from pocketvae.bundle.chips import ChipRecord, ChipTrial


def test_what_serves_comes_first():
    record = ChipRecord(
        name="hexagon:v68",
        decided_by="a simulator",
        trials=(
            ChipTrial(artifact="decoder.int8.onnx", serves=False, reason="no memory"),
            ChipTrial(artifact="decoder.float16.onnx", serves=True, reason="taken whole"),
        ),
    )
    assert record.artifacts == ("decoder.float16.onnx",)
    assert record.lines() == (
        "for hexagon:v68: decoder.float16.onnx: taken whole",
        "not for hexagon:v68: decoder.int8.onnx: no memory",
    )
