# SPDX-License-Identifier: Apache-2.0
"""Read a model from an ONNX file, as PyTorch, TensorFlow (tf2onnx), Keras and skl2onnx write it.

The graph is walked once. An operator that cannot be read is an error only if the chosen output needs it:
a classifier's branch of labels may stay unread. A file is bytes from outside: see `wire`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hitoku import limits
from hitoku.inference.arrays import Shape
from hitoku.inference.errors import ModelError
from hitoku.inference.importing import activating, constants, elementwise, last, linear, shapes, wire
from hitoku.inference.importing.calls import HANDLERS, Call
from hitoku.inference.importing.values import Broken, Data, Step, Value, settle
from hitoku.inference.network import Activation, Layer, Network

if TYPE_CHECKING:
    from onnx import AttributeProto, GraphProto, ModelProto, NodeProto

__all__ = ["load"]

_READERS: Final = (activating, constants, elementwise, last, linear, shapes)
"""Imported for what they register."""

_OPERATORS: Final = {"": (7, 25), "ai.onnx.ml": (1, 5)}
"""Operator sets whose meaning is known here, first and last."""

_CLIENT: Final = {"sigmoid", "tanh"}
"""Activations that the client does on scores where a model ends in them: they can be undone, so a client that
sees what was before them learns nothing more."""


def load(
    source: str | Path | bytes,
    *,
    input_shape: Shape | None = None,
    output: str | None = None,
    name: str | None = None,
) -> Network:
    """The network in an ONNX file.

    Args:
        source: the file's path, or its bytes.
        input_shape: a sample's shape, without the batch, where the file leaves sizes open.
        output: which output to compute; needed only where the file has several that could be meant.
        name: the network's name; else the file's.

    Raises:
        ModelError: no ONNX file, past a limit, or something that cannot be computed on encrypted inputs; it
            names the operator, the node and what to do instead.
    """
    if isinstance(source, bytes):
        if len(source) > limits.MAX_MODEL_BYTES:
            raise ModelError("TOO_LARGE", f"has more than {limits.MAX_MODEL_BYTES >> 20} MiB", where="file")
        content, folder, called = source, None, "model"
    else:
        path = Path(source)
        content, folder, called = wire.read(path), path.resolve().parent, path.stem
    try:
        model = wire.parse(content)
    except ImportError:
        raise ModelError(
            "FORMAT", "needs the package onnx to be read", remedy="install it: make build EXTRAS=inference"
        ) from None
    return _Reader(model, folder).network(input_shape, output, name or called)


class _Reader:
    """One walk over one model's graph."""

    def __init__(self, model: ModelProto, folder: Path | None) -> None:
        self.folder = folder
        self.graph = model.graph
        self.versions = _versions(model)
        self.values: dict[str, Value] = {}
        self.spent = 0
        self.batch: int | None = None

    def network(self, input_shape: Shape | None, output: str | None, name: str) -> Network:
        """The whole graph as a network."""
        if len(self.graph.node) > limits.MAX_MODEL_NODES:
            raise ModelError("TOO_LARGE", f"has more than {limits.MAX_MODEL_NODES:,} nodes", where="graph")
        if self.graph.sparse_initializer:
            raise ModelError("FORMAT", "has sparse weights", where="graph", remedy="export dense weights")
        constants = {tensor.name for tensor in self.graph.initializer}
        for tensor in self.graph.initializer:
            self._keep(tensor.name, wire.tensor(tensor, self.folder, f'tensor "{tensor.name}"'))
        inputs = [value for value in self.graph.input if value.name not in constants]
        if len(inputs) != 1:
            raise ModelError(
                "BRANCH",
                f"has {len(inputs)} inputs",
                where="graph",
                remedy="give the model one input: one table with all columns, or one image",
            )
        shape = self._input(inputs[0], input_shape)
        self.values[inputs[0].name] = Data(Step(None, None, shape))
        with np.errstate(all="ignore"):  # a constant that is not finite is refused by the layer that holds it
            for place, node in enumerate(self.graph.node):
                self._node(node, place)
        return self._finish(shape, output, name)

    def _keep(self, name: str, value: Value) -> None:
        if isinstance(value, np.ndarray):
            self.spent += value.size
            if self.spent > 2 * limits.MAX_MODEL_VALUES:
                raise ModelError(
                    "TOO_LARGE", f"has more than {limits.MAX_MODEL_VALUES:,} constants", where="graph"
                )
        self.values[name] = value

    def _input(self, value: Any, told: Shape | None) -> Shape:
        where = f'input "{value.name}"'
        from onnx import TensorProto

        kind = value.type.tensor_type
        numbers = {TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16}
        if not value.type.HasField("tensor_type") or kind.elem_type not in numbers | {
            TensorProto.INT64,
            TensorProto.INT32,
        }:
            raise ModelError(
                "FORMAT", "is no array of numbers", where=where, remedy="export the model for float inputs"
            )
        dims = [dim.dim_value if dim.HasField("dim_value") else None for dim in kind.shape.dim]
        if dims and dims[0]:
            self.batch = int(dims[0])
        found = tuple(told) if told is not None else tuple(dims[1:])
        if not found or any(size is None or size < 1 for size in found):
            raise ModelError(
                "SHAPE",
                "has sizes left open",
                where=where,
                remedy="say a sample's shape without the batch, e.g. load(path, input_shape=(1, 28, 28))",
            )
        if (
            told is not None
            and dims
            and (
                len(dims) != len(found) + 1
                or any(d not in (None, 0, s) for d, s in zip(dims[1:], found, strict=True))
            )
        ):
            raise ModelError("SHAPE", "has another shape than the one told", where=where)
        if len(found) > limits.MAX_MODEL_DIMENSIONS or _product(found) > limits.MAX_LAYER_VALUES:
            raise ModelError("TOO_LARGE", "is too large", where=where)
        return tuple(int(size) for size in found if size is not None)

    def _node(self, node: NodeProto, place: int) -> None:
        name = node.name or (node.output[0] if node.output else "") or f"#{place}"
        domain = "" if node.domain == "ai.onnx" else node.domain
        results: tuple[Value, ...]
        try:
            results = self._call(node, name, domain)
        except ModelError as error:
            results = tuple(Broken(error) for _ in node.output)
        for target, value in zip(node.output, results, strict=False):
            if target:
                self._keep(target, value)

    def _call(self, node: NodeProto, name: str, domain: str) -> tuple[Value, ...]:
        inputs = []
        for source in node.input:
            if source and source not in self.values:
                raise ModelError(
                    "FORMAT", f'reads "{source}", which nothing made', where=f'{node.op_type} node "{name}"'
                )
            inputs.append(self.values[source] if source else None)
        call = Call(
            node.op_type, name, self.versions.get(domain, 1), tuple(inputs), {}, len(node.output), self.batch
        )
        for value in inputs:
            if isinstance(value, Broken):
                raise value.error
        handler = HANDLERS.get((domain, node.op_type))
        if handler is None:
            linear.unsupported(call)
        call.attributes.update((part.name, self._attribute(part, call)) for part in node.attribute)
        try:
            found = handler(call)
        except (ValueError, IndexError, TypeError, OverflowError):
            # numpy's words could quote a value; what they are about is a file that contradicts itself.
            call.refuse("SHAPE", "has inputs and attributes that do not fit each other")
        return found if isinstance(found, tuple) else (found,)

    def _attribute(self, part: AttributeProto, call: Call) -> Any:
        from onnx import AttributeProto

        match part.type:
            case AttributeProto.FLOAT:
                return float(part.f)
            case AttributeProto.INT:
                return int(part.i)
            case AttributeProto.STRING:
                return part.s.decode("utf-8", "replace")
            case AttributeProto.FLOATS:
                return tuple(float(value) for value in part.floats)
            case AttributeProto.INTS:
                return tuple(int(value) for value in part.ints)
            case AttributeProto.STRINGS:
                return tuple(value.decode("utf-8", "replace") for value in part.strings)
            case AttributeProto.TENSOR:
                return wire.tensor(part.t, self.folder, call.where)
        return None

    def _finish(self, shape: Shape, output: str | None, name: str) -> Network:
        chosen = self._output(self.graph, output)
        found = self.values.get(chosen)
        if isinstance(found, Broken):
            raise found.error
        if not isinstance(found, Data):
            raise ModelError("BRANCH", "does not depend on the model's input", where=f'output "{chosen}"')
        post = found.post
        layers = settle(Data(found.step, found.expression, found.size), chosen).layers()
        # The labels of an argmax are numbers of columns; what the columns mean stays.
        while layers and isinstance(layers[-1], Activation) and layers[-1].kind in _CLIENT:
            post = (layers[-1].kind, *post)
            layers.pop()
        return Network(name, shape, _tidy(layers, shape), found.names, post)

    def _output(self, graph: GraphProto, told: str | None) -> str:
        names = [value.name for value in graph.output]
        if told is not None:
            if told not in names:
                raise ModelError(
                    "FORMAT", f'has no output "{told}"', where="graph", remedy=f"outputs: {', '.join(names)}"
                )
            return told
        usable = [one for one in names if isinstance(self.values.get(one), Data)]
        if len(usable) > 1:
            # Labels computed from scores are the lesser of the two.
            usable = [one for one in usable if not _is_label(self.values[one])] or usable
        if len(usable) > 1:
            raise ModelError(
                "BRANCH",
                "has several outputs",
                where="graph",
                remedy=f"choose one with output=: {', '.join(usable)}",
            )
        if not usable and not names:
            raise ModelError("FORMAT", "has no output", where="graph")
        # An unreadable output of scores tells more than one of labels.
        return str(usable[0] if usable else names[-1])


def _is_label(value: Value) -> bool:
    return isinstance(value, Data) and value.post[-1:] == ("argmax",)


def _product(sizes: tuple[int | None, ...]) -> int:
    found = 1
    for size in sizes:
        found *= size or 1
    return found


def _versions(model: ModelProto) -> dict[str, int]:
    if model.functions:
        raise ModelError(
            "FORMAT",
            "has functions of its own",
            where="model",
            remedy="inline them: onnx.inliner.inline_local_functions(model)",
        )
    found = {("" if one.domain == "ai.onnx" else one.domain): int(one.version) for one in model.opset_import}
    if not model.HasField("graph") or not found:
        raise ModelError("FILE", "is no ONNX model: it has no graph", where="file")
    for domain, (first, final) in _OPERATORS.items():
        version = found.get(domain, first)
        if not first <= version <= final:
            raise ModelError(
                "FORMAT",
                f"has version {version} of the operators {domain or 'ai.onnx'}; {first} to {final} are read",
                where="model",
                remedy="export with opset_version=17",
            )
    return found


def _tidy(layers: list[Layer], shape: Shape) -> tuple[Layer, ...]:
    """Without layers that rename to the same shape, and with runs of renamings made into one."""
    from hitoku.inference.network import Flatten, Reshape

    found: list[Layer] = []
    before = [shape]
    for layer in layers:
        if isinstance(layer, (Flatten, Reshape)):
            while found and isinstance(found[-1], (Flatten, Reshape)):
                found.pop()
                before.pop()
            target = layer.output_shape(before[-1])
            if target == before[-1]:
                continue
            layer = Flatten(layer.name) if len(target) == 1 else Reshape(target, layer.name)
        found.append(layer)
        before.append(layer.output_shape(before[-1]))
    return tuple(found)
