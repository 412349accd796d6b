# SPDX-License-Identifier: Apache-2.0
"""Files from outside: damaged, hostile, unsupported; every refusal names its place and tells what to do."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("onnx")

import onnx
from onnx import TensorProto, helper, numpy_helper
from tests.unit.inference.importing.graphs import graph, node, reference

from hitoku import limits
from hitoku.inference.errors import ModelError
from hitoku.inference.importing import load, onnx_file, wire


def refused(model: Any, **options: Any) -> ModelError:
    with pytest.raises(ModelError) as told:
        onnx_file.load(model if isinstance(model, bytes) else model.SerializeToString(), **options)
    return told.value


def small() -> onnx.ModelProto:
    weights = np.arange(12, dtype=np.float32).reshape(4, 3)
    return graph([node("MatMul", "x", "w", to="h"), node("Relu", "h")], (4,), {"w": weights})


UNSUPPORTED = [
    ("MaxPool", {"kernel_shape": [2, 2]}, "average pooling"),
    ("InstanceNormalization", {}, "batch normalisation"),
    ("LRN", {"size": 3}, "batch normalisation"),
    ("Log", {}, "leave it to the client"),
    ("Einsum", {"equation": "i->i"}, "use layers that are read"),
    ("MyOwn", {}, "use layers that are read"),
]


@pytest.mark.parametrize(("operator", "attributes", "instead"), UNSUPPORTED)
def test_an_unsupported_operator_is_named_with_what_to_do(
    operator: str, attributes: dict[str, Any], instead: str
) -> None:
    error = refused(graph([node(operator, "x", **attributes)], (2, 4, 4)))
    assert error.code == "OPERATOR"
    assert error.where == f'{operator} node "{operator.lower()}_1"'
    assert instead in (error.remedy or "")
    assert error.to_dict()["where"] == error.where


def test_a_branch_is_named() -> None:
    nodes = [node("MatMul", "x", "w", to="h"), node("Add", "x", "h")]
    error = refused(graph(nodes, (3,), {"w": np.eye(3, dtype=np.float32)}))
    assert (error.code, error.where) == ("BRANCH", 'Add node "add_1"')


def test_what_no_output_needs_may_be_unsupported() -> None:
    model = graph([node("TopK", "x", to="t"), node("Relu", "x")], (3,))
    assert onnx_file.load(model.SerializeToString()).outputs == 3


def test_a_softmax_inside_is_refused() -> None:
    nodes = [node("Softmax", "x", to="p"), node("MatMul", "p", "w")]
    error = refused(graph(nodes, (3,), {"w": np.eye(3, dtype=np.float32)}))
    assert "only at the end" in str(error)


@pytest.mark.parametrize("opset", [6, 26, 2**40])
def test_operator_sets_that_are_not_known(opset: int) -> None:
    model = small()
    model.opset_import[0].version = opset
    assert refused(model).code == "FORMAT"


@pytest.mark.parametrize("opset", range(7, 24))
def test_operator_sets_that_are(opset: int) -> None:
    model = small()
    model.opset_import[0].version = opset
    x = np.ones((2, 4))
    assert np.allclose(onnx_file.load(model.SerializeToString()).run(x), reference(model, x))


def test_an_input_of_open_size_needs_a_shape() -> None:
    model = small()
    model.graph.input[0].type.tensor_type.shape.dim[1].Clear()
    assert "input_shape=" in (refused(model).remedy or "")
    assert onnx_file.load(model.SerializeToString(), input_shape=(4,)).input_shape == (4,)
    assert refused(small(), input_shape=(5,)).code == "SHAPE"


def test_several_inputs_and_outputs() -> None:
    model = small()
    model.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, [None, 4]))
    assert refused(model).code == "BRANCH"
    two = graph([node("Relu", "x", to="a"), node("Tanh", "x", to="b")], (3,), outputs=("a", "b"))
    assert "a, b" in (refused(two).remedy or "")
    assert onnx_file.load(two.SerializeToString(), output="b").post == ("tanh",)
    assert refused(two, output="c").code == "FORMAT"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers(value: float) -> None:
    model = graph([node("MatMul", "x", "w")], (2,), {"w": np.full((2, 2), value, np.float32)})
    assert refused(model).code == "VALUE"


def test_a_shape_that_lies_is_refused_before_memory_is_taken() -> None:
    for dims in ([2**40, 2**40], [2**31, 1], [5, 3], [-4, -3]):
        model = small()
        del model.graph.initializer[0].dims[:]
        model.graph.initializer[0].dims.extend(dims)
        assert refused(model).code in ("TOO_LARGE", "SHAPE")


def test_constants_that_grow_are_refused() -> None:
    big = np.array([2**14, 2**14], np.int64)
    made = helper.make_node("ConstantOfShape", ["s"], ["c"], name="grow")
    error = refused(graph([made, node("Add", "x", "c")], (4,), {"s": big}))
    assert (error.code, error.where) == ("TOO_LARGE", 'ConstantOfShape node "grow"')
    tall, wide = np.ones((2**14, 1), np.float32), np.ones((1, 2**14), np.float32)
    nodes = [node("Mul", "a", "b", to="c"), node("MatMul", "x", "c")]
    assert refused(graph(nodes, (4,), {"a": tall, "b": wide})).code == "TOO_LARGE"
    pads = np.array([0, 0, 0, 2**15, 0, 0, 2**15, 0], np.int64)
    assert refused(graph([node("Pad", "x", "p")], (1, 4, 4), {"p": pads})).code == "SHAPE"


def test_many_empty_messages_are_refused_before_they_are_parsed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "MAX_MODEL_PARTS", 2_000)
    empty = b"\x0a\x00" * (limits.MAX_MODEL_PARTS + 1)  # GraphProto.node, each empty
    length = len(empty)
    prefix = b"\x3a"
    while length > 127:
        prefix += bytes([length & 127 | 128])
        length >>= 7
    error = refused(prefix + bytes([length]) + empty)
    assert error.code == "TOO_LARGE"


def test_deep_nesting_is_refused() -> None:
    content = b""
    for _ in range(40):
        content = b"\x32" + _varint(len(content)) + content  # AttributeProto.g
        content = b"\x2a" + _varint(len(content)) + content  # NodeProto.attribute
        content = b"\x0a" + _varint(len(content)) + content  # GraphProto.node
    assert refused(b"\x3a" + _varint(len(content)) + content).code == "FILE"


def _varint(number: int) -> bytes:
    found = b""
    while number > 127:
        found += bytes([number & 127 | 128])
        number >>= 7
    return found + bytes([number])


@pytest.mark.parametrize(
    "content", [b"", b"not an onnx file at all", b"\xff" * 100, b"PK\x03\x04" + b"\0" * 9]
)
def test_what_is_no_model(content: bytes) -> None:
    assert refused(content).code == "FILE"


def test_every_truncation_is_an_error_or_a_model() -> None:
    content = small().SerializeToString()
    read = [_read(content[:end]) for end in range(len(content))]
    assert read.count(False) > 0.9 * len(read)  # a few end just behind what is needed


def _read(content: bytes) -> bool:
    try:
        onnx_file.load(content)
    except ModelError:
        return False
    return True


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_no_change_of_bytes_gives_another_error(data: st.DataObject) -> None:
    content = bytearray(small().SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    _read(bytes(content))


def external(folder: Path, **told: str) -> Path:
    model = small()
    tensor = model.graph.initializer[0]
    (folder / "weights.bin").write_bytes(b"\0" * 8 + tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in ({"location": "weights.bin", "offset": "8", "length": "48"} | told).items():
        tensor.external_data.add(key=key, value=value)
    path = folder / "model.onnx"
    onnx.save(model, path)
    return path


def test_weights_in_a_file_beside_the_model(tmp_path: Path) -> None:
    network = load(external(tmp_path))
    assert np.allclose(network.run(np.ones((1, 4))), [[18, 22, 26]])


@pytest.mark.parametrize("name", ["../weights.bin", "/etc/passwd", "a/../weights.bin", "..", "", "a\\b"])
def test_weights_outside_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "inner").mkdir()
    path = external(tmp_path / "inner", location=name)
    (tmp_path / "weights.bin").write_bytes(b"\0" * 100)
    with pytest.raises(ModelError, match="outside the model's folder"):
        load(path)


def test_links_and_lying_lengths_are_refused(tmp_path: Path) -> None:
    path = external(tmp_path, location="link")
    (tmp_path / "link").symlink_to(tmp_path / "weights.bin")
    with pytest.raises(ModelError, match="names a link"):
        load(path)
    for told in (
        {"length": "49"},
        {"offset": "20"},
        {"offset": "-8"},
        {"offset": "x"},
        {"location": "none.bin"},
    ):
        with pytest.raises(ModelError) as error:
            load(external(tmp_path, **told))
        assert error.value.code == "FILE"
    with pytest.raises(ModelError, match="load the model by its path"):
        onnx_file.load(external(tmp_path).read_bytes())


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.onnx"
    with path.open("wb") as file:
        file.truncate(limits.MAX_MODEL_BYTES + 1)
    with pytest.raises(ModelError) as error:
        load(path)
    assert error.value.code == "TOO_LARGE"
    with pytest.raises(ModelError) as error:
        load(tmp_path / "none.onnx")
    assert error.value.code == "FILE"


@pytest.mark.parametrize("name", ["model.pkl", "model.joblib", "model.pt", "model.h5"])
def test_formats_that_run_code_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x80\x04.")
    with pytest.raises(ModelError, match="can run code"):
        load(tmp_path / name)


def test_half_floats_and_typed_fields() -> None:
    half = small()
    weights = numpy_helper.to_array(half.graph.initializer[0])
    half.graph.initializer[0].CopyFrom(numpy_helper.from_array(weights.astype(np.float16), "w"))
    typed = small()
    typed.graph.initializer[0].CopyFrom(helper.make_tensor("w", TensorProto.FLOAT, [4, 3], weights.ravel()))
    brain = small()
    brain.graph.initializer[0].CopyFrom(
        helper.make_tensor("w", TensorProto.BFLOAT16, [4, 3], weights.ravel())
    )
    for model in (half, typed, brain):
        assert np.allclose(onnx_file.load(model.SerializeToString()).run(np.ones((1, 4))), [[18, 22, 26]])
    del typed.graph.initializer[0].float_data[3:]
    assert refused(typed).code == "SHAPE"


def test_strings_are_no_weights() -> None:
    model = small()
    model.graph.initializer[0].CopyFrom(
        onnx.TensorProto(name="w", dims=[1], data_type=TensorProto.STRING, string_data=[b"a"])
    )
    assert refused(model).code == "FORMAT"


def test_the_count_of_parts() -> None:
    model = small()
    assert 10 < wire.scan(model.SerializeToString(), onnx.ModelProto.DESCRIPTOR) < 60


def test_messages_hold_no_values() -> None:
    secret = 987654.25
    model = graph([node("MatMul", "x", "w")], (3,), {"w": np.full((4, 2), secret, np.float32)})
    error = refused(model)
    out = io.StringIO()
    print(error, error.to_dict(), file=out)
    assert "987654" not in out.getvalue()
