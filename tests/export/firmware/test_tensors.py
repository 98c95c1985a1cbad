"""Inputs and outputs as C++ names them."""

from dataclasses import replace

import pytest

from pocketvae.bundle.bundle import open_bundle
from pocketvae.errors import SpecError
from pocketvae.export.firmware.choice import choose_artifact
from pocketvae.export.firmware.tensors import read_interface
from pocketvae.spec import TensorSpec


@pytest.fixture
def file(bundle):
    """The record and the bytes of a decoder."""
    opened = open_bundle(bundle)
    artifact = choose_artifact(opened.manifest)
    return artifact, opened.artifact_path(artifact).read_bytes()


def test_positions_are_those_of_the_file(file):
    interface = read_interface(*file)
    assert [(item.name, item.index, item.c_type, item.value_type) for item in interface.inputs] == [
        ("z", 0, "float", "float")
    ]
    assert interface.outputs[0].elements == 36


def test_a_type_that_firmware_does_not_take_is_named(file):
    artifact, content = file
    image = replace(artifact.outputs[0], dtype="float64")
    with pytest.raises(SpecError, match=r"firmware does not take 'image' float64, only float32, int8"):
        read_interface(replace(artifact, outputs=(image,)), content)


def test_an_interface_of_another_file_is_refused(file):
    artifact, content = file
    other = TensorSpec(name="w", dtype="float32", shape=(1, 3))
    with pytest.raises(SpecError, match="firmware does not take 'w' float32"):
        read_interface(replace(artifact, inputs=(other,)), content)


def test_two_names_that_are_one_in_c_are_refused(file):
    artifact, content = file
    # The same output under two names would have one function twice.
    with pytest.raises(SpecError, match=r"two tensors are called image in C\+\+"):
        read_interface(replace(artifact, outputs=(artifact.outputs[0], artifact.outputs[0])), content)
