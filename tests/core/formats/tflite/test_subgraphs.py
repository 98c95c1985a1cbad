import numpy as np
import pytest

from pocketvae.export.convert.batches_tflite import add_batches
from pocketvae.export.firmware.flash import for_flash
from pocketvae.export.firmware.kernels import kernels_of
from pocketvae.formats.tflite.editing import add_constant, add_tensor, new_operator
from pocketvae.formats.tflite.model import main_inputs, read_model, schema, write_model
from pocketvae.formats.tflite.operators import read_operators
from pocketvae.formats.tflite.subgraphs import read_run_operators, run_subgraphs, with_one_batch
from pocketvae.portability.lint import lint
from pocketvae.runtimes.opening import open_runner
from pocketvae.spec import Format

Z = np.float32([[1, -1, 0.5]])


@pytest.fixture
def content(bundles, tflite_models):
    return tflite_models.decoder(bundles.right_weight(), bundles.SIDE)


def _subgraph(model, operators, inputs, outputs, tensors):
    graph = schema().SubGraphT()
    graph.tensors, graph.operators, graph.inputs, graph.outputs = [], [], inputs, outputs
    for name, shape, dtype in tensors:
        add_tensor(graph, name, shape, dtype)
    for make in operators:
        make(graph)
    model.subgraphs.append(graph)
    return len(model.subgraphs) - 1


def _append(graph, operator):
    graph.operators.append(operator)


def with_loop(content):
    """The file with a loop in front that changes the sign of z five times; its parts stand at the end."""
    model = read_model(content)
    own = [("count", (), "int32"), ("z", (1, 3), "float32")]

    def less(graph):
        five = add_constant(model, graph, "five", np.int32(5))
        _append(graph, new_operator(model, "LESS", "LessOptions", [0, five], 2))

    def step(graph):
        one = add_constant(model, graph, "one", np.int32(1))
        _append(graph, new_operator(model, "ADD", "AddOptions", [0, one], 2))
        _append(graph, new_operator(model, "NEG", "NegOptions", [1], 3))

    condition = _subgraph(model, [less], [0, 1], [2], [*own, ("goes_on", (), "bool")])
    body = _subgraph(model, [step], [0, 1], [2, 3], [*own, ("next", (), "int32"), ("changed", (1, 3), "float32")])
    main = model.subgraphs[0]
    (z,) = main_inputs(model).values()
    zero = add_constant(model, main, "zero", np.int32(0))
    count, changed = add_tensor(main, "count", (), "int32"), add_tensor(main, "changed", (1, 3), "float32")
    for operator in main.operators:
        operator.inputs = [changed if index == z else index for index in operator.inputs]
    loop = new_operator(model, "WHILE", "WhileOptions", [zero, z], count)
    loop.outputs = [count, changed]
    loop.builtinOptions.condSubgraphIndex, loop.builtinOptions.bodySubgraphIndex = condition, body
    main.operators.insert(0, loop)
    return write_model(model)


def image(content):
    with open_runner(content, Format.TFLITE) as runner:
        return runner.run({"z": Z})["image"]


def test_what_a_loop_runs_is_run_and_another_batch_is_not(content):
    looped = with_loop(add_batches(content, (1, 8)))
    assert run_subgraphs(read_model(looped)) == [0, 2, 3]
    names = [operator.name for operator in read_run_operators(looped)]
    assert names == ["WHILE", *(item.name for item in read_operators(content)[0]), "LESS", "ADD", "NEG"]
    assert {"LESS", "ADD", "NEG"} < {kernel.operator for kernel in kernels_of(read_run_operators(looped), "f")}
    assert lint(Format.TFLITE, looped)[-1].operators == len(names)


def test_flash_has_what_is_run_alone(content):
    looped = with_loop(add_batches(content, (1, 8)))
    slim = for_flash(looped)
    assert [len(graph.operators) for graph in read_model(slim).subgraphs] == [4, 1, 2]
    assert run_subgraphs(read_model(slim)) == [0, 1, 2]
    kept = with_one_batch(looped)
    np.testing.assert_array_equal(image(kept), image(looped))
    np.testing.assert_array_equal(image(kept), image(with_loop(content)))
    assert not np.array_equal(image(kept), image(content))
    assert len(slim) < len(for_flash(content)) + 1500


def test_other_batches_go_from_flash(content):
    several = add_batches(content, (1, 8, 32))
    slim, single = for_flash(several), for_flash(content)
    assert read_operators(slim) == read_operators(single)
    assert len(slim) < len(single) + 128
    assert [item.signatureKey for item in read_model(with_one_batch(several)).signatureDefs] == [b"serving_default"]
    np.testing.assert_array_equal(image(with_one_batch(several)), image(content))


def test_a_file_of_one_batch_stays_as_it_is(content):
    assert with_one_batch(content) is content
    assert with_one_batch(with_loop(content)) == with_loop(content)
