from pocketvae.formats.tflite.operators import read_operators
from pocketvae.portability.xnnpack import check_xnnpack
from pocketvae.runtimes.delegation import GraphOperator, delegated, loaded_graph
from pocketvae.runtimes.litert import OperatorSet, open_interpreter


def test_a_delegate_has_what_lies_between_its_ends():
    operators = [
        GraphOperator(kind="GATHER", inputs=(0,), outputs=(1,)),
        GraphOperator(kind="FULLY_CONNECTED", inputs=(1, 9), outputs=(2,)),
        GraphOperator(kind="LOGISTIC", inputs=(2,), outputs=(3,)),
        GraphOperator(kind="CAST", inputs=(3,), outputs=(4,)),
        GraphOperator(kind="DELEGATE", inputs=(1, 9), outputs=(3,)),
    ]
    assert delegated(operators) == {1, 2}
    assert delegated(operators[:4]) == set()


def test_an_input_that_is_left_out_is_no_tensor(bundles, tflite_models):
    content = tflite_models.decoder(bundles.right_weight(), bundles.SIDE)
    graph = loaded_graph(open_interpreter(content))
    assert [operator.kind for operator in graph.operators] == ["FULLY_CONNECTED", "LOGISTIC", "RESHAPE"]
    assert all(index >= 0 for operator in graph.operators for index in operator.inputs)
    assert graph.tensors[graph.operators[0].outputs[0]].size_bytes == 4 * bundles.SIDE**2


def test_the_linter_and_the_graph_agree_on_what_is_delegated(bundles, tflite_models):
    content = tflite_models.decoder(bundles.right_weight(), bundles.SIDE)
    (operators,) = read_operators(content)
    assert check_xnnpack(content, operators).taken == len(loaded_graph(open_interpreter(content)).delegated) == 3


def test_without_a_delegate_nothing_is_delegated(bundles, tflite_models):
    content = tflite_models.decoder(bundles.right_weight(), bundles.SIDE)
    assert loaded_graph(open_interpreter(content, operators=OperatorSet.BUILTIN)).delegated == frozenset()
