# SPDX-License-Identifier: Apache-2.0
"""Every operator that is read computes what onnx's reference evaluator computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")

from onnx import helper
from tests.unit.inference.importing.graphs import graph, node, reference

from hitoku.inference.errors import ModelError
from hitoku.inference.importing import onnx_file
from hitoku.inference.network import Activation, Conv, Dense, Network, Polynomial, Select

RNG = np.random.default_rng(3)


def floats(*shape: int) -> Any:
    return RNG.normal(size=shape).astype(np.float32)


def agree(model: Any, shape: tuple[int, ...], *, scale: float = 1.0, samples: int = 5) -> Network:
    x = floats(samples, *shape) * scale
    network = onnx_file.load(model.SerializeToString())
    wanted = reference(model, x)
    found = network.predict(x)
    assert found.shape == (samples, wanted.size // samples)
    assert np.allclose(found, wanted.reshape(samples, -1), rtol=2e-5, atol=2e-5)
    return network


PLAIN = ["Abs", "Atan", "Cos", "Erf", "Exp", "Gelu", "HardSwish", "Mish", "Relu", "Selu", "Sigmoid", "Sin"]
ACTIVATIONS: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in (*PLAIN, "Softplus", "Softsign", "Tanh")),
    *((name, {"alpha": 0.3}) for name in ("Celu", "Elu", "HardSigmoid", "LeakyRelu", "ThresholdedRelu")),
    ("Gelu", {"approximate": "tanh"}),
]


@pytest.mark.parametrize(("operator", "attributes"), ACTIVATIONS)
def test_activation(operator: str, attributes: dict[str, Any]) -> None:
    model = graph([node(operator, "x", **attributes)], (7,), opset=20)
    network = agree(model, (7,), scale=3.0)
    assert len(network.layers) + len(network.post) == 1


def test_sigmoid_within_a_network_is_no_last_step() -> None:
    model = graph([node("Sigmoid", "x", to="h"), node("MatMul", "h", "w")], (4,), {"w": floats(4, 2)})
    network = agree(model, (4,))
    assert network.post == ()
    assert isinstance(network.layers[0], Activation)


@pytest.mark.parametrize("operator", ["Add", "Sub", "Mul", "Div"])
@pytest.mark.parametrize(
    "constant", [np.float32(1.5), np.full(6, 2.5, np.float32), floats(6) + 5, floats(1, 6) + 5]
)
@pytest.mark.parametrize("left", [True, False])
def test_arithmetic_with_constants(operator: str, constant: Any, left: bool) -> None:
    model = graph([node(operator, *(("c", "x") if left else ("x", "c")))], (6,), {"c": constant})
    if operator == "Div" and left:
        with pytest.raises(ModelError, match=r"Div node .*divides by a value that depends on the input"):
            onnx_file.load(model.SerializeToString())
    else:
        agree(model, (6,))


@pytest.mark.parametrize("shape", [(), (3, 1, 1), (1, 3, 1, 1), (4, 5), (3, 4, 5), (5,)])
def test_arithmetic_on_images(shape: tuple[int, ...]) -> None:
    model = graph(
        [node("Mul", "x", "c", to="h"), node("Add", "d", "h")],
        (3, 4, 5),
        {"c": floats(*shape), "d": floats(*shape)},
    )
    agree(model, (3, 4, 5))


def test_a_constant_that_would_spread_the_data_is_refused() -> None:
    model = graph([node("Add", "x", "c")], (1,), {"c": floats(5)})
    with pytest.raises(ModelError, match="does not fit") as told:
        onnx_file.load(model.SerializeToString())
    assert told.value.code == "SHAPE"


@pytest.mark.parametrize("degree", [2, 3, 5])
def test_power_is_a_polynomial(degree: int) -> None:
    network = agree(graph([node("Pow", "x", "n")], (3,), {"n": np.float32(degree)}), (3,))
    (layer,) = network.layers
    assert isinstance(layer, Polynomial)
    assert layer.degree == degree


def test_a_polynomial_written_out_is_one_layer() -> None:
    nodes = [
        node("Mul", "x", "x", to="s"),
        node("Mul", "s", "a", to="as"),
        node("Mul", "x", "b", to="bx"),
        node("Add", "as", "bx", to="sum"),
        node("Sub", "sum", "c"),
    ]
    network = agree(
        graph(nodes, (3,), {name: np.float32(v) for name, v in (("a", 0.25), ("b", 0.5), ("c", 2))}), (3,)
    )
    (layer,) = network.layers
    assert isinstance(layer, Polynomial)
    assert layer.coefficients.tolist() == [-2.0, 0.5, 0.25]


def test_gelu_written_out_is_known_again() -> None:
    nodes = [
        node("Div", "x", "root", to="d"),
        node("Erf", "d", to="e"),
        node("Add", "e", "one", to="f"),
        node("Mul", "x", "f", to="g"),
        node("Mul", "g", "half"),
    ]
    constants = {"root": np.float32(2**0.5), "one": np.float32(1), "half": np.float32(0.5)}
    (layer,) = agree(graph(nodes, (3,), constants), (3,)).layers
    assert isinstance(layer, Activation)
    assert layer.kind == "gelu"


def test_swish_of_a_scaled_value_keeps_its_argument_apart() -> None:
    nodes = [node("Mul", "x", "c", to="h"), node("Sigmoid", "h", to="s"), node("Mul", "h", "s")]
    network = agree(graph(nodes, (3,), {"c": np.float32(3)}), (3,))
    assert [getattr(layer, "kind", "scale") for layer in network.layers] == ["scale", "silu"]


def test_a_long_chain_of_squares_stays_small() -> None:
    nodes = [node("Mul", f"h{k}", f"h{k}", to=f"h{k + 1}") for k in range(12)]
    nodes[0] = node("Mul", "x", "x", to="h1")
    nodes.append(node("Identity", "h12"))
    network = onnx_file.load(graph(nodes, (2,)).SerializeToString())
    assert all(isinstance(layer, Polynomial) for layer in network.layers)
    assert np.allclose(network.run([[1.001, 0.5]]), [[1.001**4096, 0.0]])


@pytest.mark.parametrize("low", [None, -0.5])
@pytest.mark.parametrize("high", [None, 0.7])
def test_clip(low: float | None, high: float | None) -> None:
    constants = {name: np.float32(value) for name, value in (("l", low), ("h", high)) if value is not None}
    inputs = ["x", "l" if low is not None else "", "h" if high is not None else ""]
    agree(graph([node("Clip", *inputs)], (6,), constants), (6,))


def test_clip_and_dropout_and_unsqueeze_of_old_operator_sets() -> None:
    nodes = [
        node("Clip", "x", to="c", min=-1.0, max=0.25),
        node("Dropout", "c", to="d", ratio=0.3),
        node("Unsqueeze", "d", to="u", axes=[1]),
        node("Squeeze", "u", axes=[1]),
    ]
    agree(graph(nodes, (6,), opset=9), (6,))


@pytest.mark.parametrize(("operator", "first"), [("Max", True), ("Min", True), ("Max", False)])
def test_extremes_with_a_constant(operator: str, first: bool) -> None:
    agree(graph([node(operator, *(("c", "x") if first else ("x", "c")))], (6,), {"c": np.float32(0.2)}), (6,))


def test_gemm() -> None:
    for transposed in (0, 1):
        weights = floats(4, 6) if transposed else floats(6, 4)
        nodes = [node("Gemm", "x", "w", "b", alpha=0.5, beta=2.0, transB=transposed)]
        network = agree(graph(nodes, (6,), {"w": weights, "b": floats(4)}), (6,))
        assert isinstance(network.layers[0], Dense)


CONVOLUTIONS: list[tuple[dict[str, Any], tuple[int, ...], int]] = [
    ({}, (3, 3), 1),
    ({"pads": [1, 0, 2, 1], "strides": [2, 1]}, (3, 2), 1),
    ({"dilations": [2, 1], "group": 2}, (2, 3), 2),
    ({"auto_pad": "SAME_UPPER", "strides": [2, 2]}, (3, 2), 1),
    ({"auto_pad": "SAME_LOWER"}, (2, 2), 1),
    ({"auto_pad": "VALID", "group": 4}, (3, 3), 4),
]


@pytest.mark.parametrize(("attributes", "kernel", "groups"), CONVOLUTIONS)
def test_convolution(attributes: dict[str, Any], kernel: tuple[int, ...], groups: int) -> None:
    weights = floats(4, 4 // groups, *kernel)
    model = graph([node("Conv", "x", "w", "b", **attributes)], (4, 9, 7), {"w": weights, "b": floats(4)})
    agree(model, (4, 9, 7))


def test_convolution_over_a_line() -> None:
    model = graph([node("Conv", "x", "w", pads=[2, 1], strides=[2])], (3, 11), {"w": floats(2, 3, 4)})
    agree(model, (3, 11))


def test_a_pad_before_a_convolution_becomes_its_padding() -> None:
    nodes = [node("Pad", "x", "p", to="h"), node("Conv", "h", "w")]
    pads = np.array([0, 0, 0, 1, 0, 0, 1, 0], np.int64)
    network = agree(graph(nodes, (1, 8, 8), {"p": pads, "w": floats(2, 1, 3, 3)}), (1, 8, 8))
    (layer,) = network.layers
    assert isinstance(layer, Conv)
    assert layer.padding == (0, 1, 1, 0)


def test_a_pad_that_cuts_is_no_padding() -> None:
    pads = np.array([0, 0, -1, 1, 0, 0, 1, -2], np.int64)  # the reference evaluator knows no negative ones
    nodes = [node("Pad", "x", "p", to="h"), node("Conv", "h", "w")]
    weights = floats(2, 1, 3, 3)
    network = onnx_file.load(graph(nodes, (1, 8, 8), {"p": pads, "w": weights}).SerializeToString())
    assert isinstance(network.layers[0], Select)
    x = floats(3, 1, 8, 8)
    moved = np.pad(x[:, :, 1:, :-2], ((0, 0), (0, 0), (0, 1), (1, 0)))
    same = graph([node("Conv", "x", "w")], moved.shape[1:], {"w": weights})
    assert np.allclose(network.run(x), reference(same, moved).reshape(3, -1), atol=1e-5)


@pytest.mark.parametrize("count", [0, 1])
@pytest.mark.parametrize("pads", [[0, 0, 0, 0], [1, 0, 1, 1]])
def test_average_pool(count: int, pads: list[int]) -> None:
    nodes = [
        node("AveragePool", "x", kernel_shape=[2, 3], strides=[2, 1], pads=pads, count_include_pad=count)
    ]
    agree(graph(nodes, (2, 6, 6)), (2, 6, 6))


def test_global_means() -> None:
    agree(graph([node("GlobalAveragePool", "x")], (3, 4, 5)), (3, 4, 5))
    agree(graph([node("ReduceMean", "x", axes=[2, 3], keepdims=0)], (3, 4, 5)), (3, 4, 5))
    agree(graph([node("ReduceSum", "x", "a")], (3, 4), {"a": np.array([-1])}), (3, 4))
    agree(graph([node("ReduceMean", "x", axes=[1])], (6,)), (6,))


def test_batch_normalisation() -> None:
    constants = {"s": floats(3), "b": floats(3), "m": floats(3), "v": floats(3) ** 2 + 0.1}
    agree(
        graph([node("BatchNormalization", "x", "s", "b", "m", "v", epsilon=1e-3)], (3, 4, 2), constants),
        (3, 4, 2),
    )


MOVES: list[tuple[list[Any], dict[str, Any]]] = [
    ([node("Transpose", "x", perm=[0, 2, 3, 1])], {}),
    ([node("Reshape", "x", "s")], {"s": np.array([0, -1, 4])}),
    ([node("Reshape", "x", "s")], {"s": np.array([-1, 24])}),
    ([node("Flatten", "x")], {}),
    ([node("Slice", "x", "a", "b", "d", "e")], {"a": [1, -1], "b": [3, -10], "d": [2, 3], "e": [1, -2]}),
    ([node("Gather", "x", "i", axis=3)], {"i": np.array([3, 0, -2])}),
    ([node("Pad", "x", "p")], {"p": np.array([0, 0, 1, 0, 0, 1, 0, 2])}),
    ([node("Unsqueeze", "x", "a", to="u"), node("Squeeze", "u", "a")], {"a": np.array([2])}),
]  # fmt: skip


@pytest.mark.parametrize(("nodes", "constants"), MOVES)
def test_moves(nodes: list[Any], constants: dict[str, Any]) -> None:
    agree(
        graph(nodes, (2, 3, 4), {name: np.asarray(value, np.int64) for name, value in constants.items()}),
        (2, 3, 4),
    )


def test_split_gives_its_parts() -> None:
    split = helper.make_node("Split", ["x", "s"], ["a", "b"], axis=1)
    model = graph([split, node("Relu", "b")], (5,), {"s": np.array([2, 3])})
    agree(model, (5,))


def test_a_reshape_that_asks_for_the_batch() -> None:
    nodes = [
        node("Shape", "x", to="s"),
        node("Gather", "s", "zero", to="n", axis=0),
        node("Unsqueeze", "n", "axes", to="v"),
        node("Concat", "v", "rest", to="t", axis=0),
        node("Reshape", "x", "t"),
    ]
    constants = {"zero": np.int64(0), "axes": np.array([0]), "rest": np.array([-1])}
    agree(graph(nodes, (2, 3), constants), (2, 3))


def test_a_reshape_that_mixes_samples_is_refused() -> None:
    for target in ([3, -1], [-1, 3], [2, 6]):
        model = graph([node("Reshape", "x", "s")], (2, 3), {"s": np.array(target)})
        with pytest.raises(ModelError, match="keep the samples apart"):
            onnx_file.load(model.SerializeToString())


@pytest.mark.parametrize("operator", ["Softmax", "LogSoftmax", "Sigmoid", "Tanh"])
def test_last_steps_are_the_clients(operator: str) -> None:
    model = graph([node("MatMul", "x", "w", to="h"), node(operator, "h")], (4,), {"w": floats(4, 3)})
    (step,) = agree(model, (4,)).post
    assert step.replace("_", "") == operator.lower()


def test_argmax_behind_softmax() -> None:
    nodes = [node("Softmax", "x", to="p"), node("ArgMax", "p", axis=1)]
    assert agree(graph(nodes, (4,)), (4,)).post == ("softmax", "argmax")


def test_classical_operators() -> None:
    nodes = [
        node("Scaler", "x", to="s", domain="ai.onnx.ml", offset=[1.0, 2.0, 3.0], scale=[0.5, 2.0, 1.0]),
        node("LinearRegressor", "s", domain="ai.onnx.ml", coefficients=[1.0, -2.0, 0.5], intercepts=[0.25]),
    ]
    agree(graph(nodes, (3,)), (3,))


@pytest.mark.parametrize("transform", ["NONE", "SOFTMAX", "LOGISTIC"])
def test_linear_classifier(transform: str) -> None:
    made = helper.make_node(
        "LinearClassifier",
        ["x"],
        ["label", "y"],
        domain="ai.onnx.ml",
        coefficients=floats(6).tolist(),
        intercepts=[0.5, -1.0, 0.0],
        classlabels_ints=[3, 5, 8],
        post_transform=transform,
    )
    network = agree(graph([made], (2,), outputs=("label", "y")), (2,))
    assert network.output_names == ("3", "5", "8")


def test_constants_computed_in_the_graph() -> None:
    nodes = [
        node("Constant", to="v", value_floats=[4.0, 9.0, 16.0]),
        node("Sqrt", "v", to="r"),
        node("Reciprocal", "r", to="i"),
        node("Neg", "i", to="n"),
        helper.make_node("Cast", ["n"], ["f"], to=1),
        node("Mul", "x", "f"),
    ]
    agree(graph(nodes, (3,)), (3,))


@pytest.mark.parametrize("operator", ["Greater", "GreaterOrEqual", "Less", "LessOrEqual"])
def test_a_function_in_two_pieces(operator: str) -> None:
    nodes = [node(operator, "x", "c", to="p"), node("Tanh", "x", to="t"), node("Where", "p", "t", "x")]
    agree(graph(nodes, (9,), {"c": np.float32(0.3)}), (9,))


def test_softplus_with_its_threshold_is_softplus() -> None:
    nodes = [node("Softplus", "x", to="s"), node("Greater", "x", "c", to="p"), node("Where", "p", "x", "s")]
    (layer,) = agree(graph(nodes, (9,), {"c": np.float32(20)}), (9,)).layers
    assert isinstance(layer, Activation)
    assert layer.kind == "softplus"
