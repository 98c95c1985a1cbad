import pytest

from pocketvae.layer_precision import short_layer_name


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("decoder/hidden/MatMul", "decoder/hidden"),
        ("decoder/up_0_block_0/conv/BiasAdd;decoder/up_0_block_0/conv/Relu", "up_0_block_0/conv"),
        (
            "StatefulPartitionedCall/functional_1/conv1d_transpose_1_2/conv_transpose",
            "conv1d_transpose_1_2",
        ),
        ("PartitionedCall/functional_1/dense_1/MatMul", "dense_1"),
        ("functional/sequential_1/dense_1/MatMul", "sequential_1/dense_1"),
        ("sequential/MatMul", "sequential"),
        ("head/Sigmoid", "head"),
        ("MatMul", "MatMul"),
        ("StatefulPartitionedCall", "StatefulPartitionedCall"),
    ],
)
def test_a_name_without_the_models_scope_and_the_operator(name, short):
    assert short_layer_name(name) == short
