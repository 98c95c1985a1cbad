from dataclasses import replace

import pytest

from pocketvae.bundle.bundle import open_bundle
from pocketvae.export import portability_warnings
from pocketvae.portability.records import Backend, Portability, Requirement, Unsupported
from pocketvae.spec import Component, Format, Precision


def taken(backend, count):
    falls_off = () if count == 3 else (Unsupported(operator="TRANSPOSE_CONV", count=3 - count, reason="version 4"),)
    return Portability(backend=backend, operators=3, taken=count, falls_off=falls_off, source=f"the table of {backend}")


@pytest.fixture
def manifest(tmp_path, bundles):
    """A manifest whose decoder takes what a test says."""
    found = open_bundle(bundles.make_bundle(tmp_path / "b")).manifest

    def made(*portability, component=Component.DECODER, precision=Precision.FLOAT32, format=Format.TFLITE):
        (decoder,) = [item for item in found.artifacts if item.component is Component.DECODER]
        name = f"{component}.{precision}.{format}"
        changed = replace(
            decoder,
            component=component,
            precision=precision,
            format=format,
            file=replace(decoder.file, path=name),
            portability=portability,
            requires=Requirement(runtime="TensorFlow Lite", version="2.5.0", reason="DEPTH_TO_SPACE version 2"),
        )
        return replace(found, artifacts=(changed,), licence="CC0", author="A. Author")

    return made


def test_a_float_decoder_that_falls_off_is_warned_of(manifest):
    found = manifest(taken(Backend.XNNPACK, 3), taken(Backend.LITERT_GPU, 2))
    assert portability_warnings(found) == (
        "decoder.float32.tflite is not fully supported by litert_gpu: 2 of 3; not TRANSPOSE_CONV x1 (version 4)",
    )


def test_a_file_that_falls_off_several_is_warned_of_in_one_line(manifest):
    (found,) = portability_warnings(manifest(taken(Backend.TFLM, 1), taken(Backend.LITERT_GPU, 2)))
    supported = "tflm (1 of 3 operators) and litert_gpu (2 of 3 operators)"
    assert found == (
        f"decoder.float32.tflite is not fully supported by {supported}: "
        "inspect FILE --lint says which operators are not"
    )


@pytest.mark.parametrize(
    ("backend", "precision", "component", "count"),
    [
        (Backend.XNNPACK, Precision.INT8, Component.DECODER, 1),
        (Backend.XNNPACK, Precision.INT16X8, Component.DECODER, 0),
        (Backend.LITERT_GPU, Precision.DYNAMIC_INT8, Component.DECODER, 0),
        (Backend.TFLM, Precision.FLOAT16, Component.DECODER, 0),
        (Backend.XNNPACK, Precision.FLOAT32, Component.GENERATOR, 0),
    ],
)
def test_what_is_expected_to_fall_off_is_not_warned_of(manifest, backend, precision, component, count):
    found = manifest(taken(backend, 2), component=component, precision=precision)
    assert len(portability_warnings(found)) == count
