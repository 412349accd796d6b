# SPDX-License-Identifier: Apache-2.0
"""An ONNX file as bytes from outside: bounded before it is parsed, tensors checked before memory is taken.

Protobuf turns an empty message of two bytes into an object of a hundred: a small file could fill the memory.
So the wire format is walked first, along the schema, and its messages are counted (`scan`). Weights in files
of their own are read only from the model's own folder.
"""

from __future__ import annotations

import math
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from hitoku import limits
from hitoku.inference.errors import ModelError

if TYPE_CHECKING:
    from onnx import ModelProto, TensorProto

__all__ = ["parse", "read", "scan", "tensor"]

_MESSAGE: Final = 11
"""FieldDescriptor.TYPE_MESSAGE"""
_DEPTH: Final = 32


def read(path: Path, offset: int = 0, length: int | None = None) -> bytes:
    """A regular file's bytes, or a part of it.

    Raises:
        ModelError: it cannot be read, is no regular file, too large, or ends before the part does.
    """
    where = f'file "{path.name}"'
    try:
        with path.open("rb") as file:
            told = os.fstat(file.fileno())
            if not stat.S_ISREG(told.st_mode):
                raise ModelError("FILE", "is no regular file", where=where)
            if told.st_size > limits.MAX_MODEL_BYTES:
                raise ModelError(
                    "TOO_LARGE", f"has more than {limits.MAX_MODEL_BYTES >> 20} MiB", where=where
                )
            file.seek(offset)
            content = file.read(limits.MAX_MODEL_BYTES if length is None else length)
    except OSError as error:
        raise ModelError("FILE", f"cannot be read ({error.strerror})", where=where) from None
    if length is not None and len(content) != length:
        raise ModelError("FILE", "ends before its tensors do", where=where)
    return content


def _varint(content: memoryview, at: int) -> tuple[int, int]:
    found = 0
    for shift in range(0, 70, 7):
        byte = content[at]
        at += 1
        found |= (byte & 127) << shift
        if byte < 128:
            return found, at
    raise ValueError("a number that does not end")


def scan(content: bytes, descriptor: Any) -> int:
    """How many messages and strings a protobuf of this schema has.

    Raises:
        ModelError: more than `limits.MAX_MODEL_PARTS`, nested too deep, or no protobuf at all.
    """
    seen = 0
    waiting: list[tuple[memoryview, Any, int]] = [(memoryview(content), descriptor, 0)]
    try:
        while waiting:
            part, schema, depth = waiting.pop()
            at = 0
            while at < len(part):
                key, at = _varint(part, at)
                kind = key & 7
                if kind == 0:
                    _, at = _varint(part, at)
                    continue
                if kind in (1, 5):
                    at += 8 if kind == 1 else 4
                    continue
                if kind != 2:
                    raise ValueError("a group")
                length, at = _varint(part, at)
                if at + length > len(part):
                    raise ValueError("a field that is longer than its message")
                seen += 1
                field = schema.fields_by_number.get(key >> 3)
                if field is not None and field.type == _MESSAGE:
                    if depth >= _DEPTH:
                        raise ValueError("messages nested too deep")
                    waiting.append((part[at : at + length], field.message_type, depth + 1))
                if seen > limits.MAX_MODEL_PARTS:
                    raise ModelError(
                        "TOO_LARGE", f"has more than {limits.MAX_MODEL_PARTS:,} parts", where="file"
                    )
                at += length
            if at != len(part):
                raise ValueError("a field that is longer than its message")
    except (ValueError, IndexError) as error:
        told = str(error) if isinstance(error, ValueError) else "it ends too early"
        raise ModelError("FILE", f"is no ONNX file: {told}", where="file") from None
    return seen


def parse(content: bytes) -> ModelProto:
    """The model in an ONNX file's bytes, nothing in it trusted yet.

    Raises:
        ModelError: it is none, or too large.
    """
    from google.protobuf.message import DecodeError
    from onnx import ModelProto

    scan(content, ModelProto.DESCRIPTOR)
    model = ModelProto()
    try:
        model.ParseFromString(content)
    except (DecodeError, ValueError, RecursionError):
        raise ModelError("FILE", "is no ONNX file, or it was cut off", where="file") from None
    return model


def _external(proto: TensorProto, folder: Path | None, size: int, where: str) -> bytes:
    told = {entry.key: entry.value for entry in proto.external_data}
    name = told.get("location", "")
    if folder is None:
        raise ModelError(
            "FILE", "has its weights in another file", where=where, remedy="load the model by its path"
        )
    if not name or name in (".", "..") or Path(name).name != name or "\\" in name or "\0" in name:
        raise ModelError(
            "FILE",
            "names a file of weights outside the model's folder",
            where=where,
            remedy="export with all weights in one file (torch.onnx.export(..., external_data=False))",
        )
    path = folder / name
    if path.is_symlink():
        raise ModelError(
            "FILE", "names a link as its file of weights", where=where, remedy="put the file itself there"
        )
    try:
        offset = int(told.get("offset", "0") or "0")
        length = int(told.get("length", str(size)) or "0")
    except ValueError:
        raise ModelError("FILE", "has an offset that is no number", where=where) from None
    if offset < 0 or length != size:
        raise ModelError("FILE", "has another length than its shape", where=where)
    return read(path, offset, length)


def tensor(proto: TensorProto, folder: Path | None, where: str) -> NDArray[Any]:
    """A constant of the file as an array; its shape is compared with its bytes before anything is copied.

    Raises:
        ModelError: a type that networks do not use, a shape that does not fit, a file outside the folder.
    """
    from onnx import TensorProto, helper, numpy_helper

    kinds = {
        TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.BOOL,
        TensorProto.INT8, TensorProto.UINT8, TensorProto.INT16, TensorProto.UINT16,
        TensorProto.INT32, TensorProto.UINT32, TensorProto.INT64, TensorProto.UINT64,
    }  # fmt: skip
    if proto.data_type not in kinds:
        raise ModelError("FORMAT", "has a type that is not read here", where=where)
    shape = tuple(proto.dims)
    if len(shape) > limits.MAX_MODEL_DIMENSIONS or any(size < 0 for size in shape):
        raise ModelError("SHAPE", "has no usable shape", where=where)
    count = math.prod(shape)
    if count > limits.MAX_MODEL_VALUES:
        raise ModelError("TOO_LARGE", f"has more than {limits.MAX_MODEL_VALUES:,} values", where=where)
    each = helper.tensor_dtype_to_np_dtype(proto.data_type)
    if proto.data_location == TensorProto.EXTERNAL:
        content = _external(proto, folder, count * each.itemsize, where)
        copy = TensorProto(dims=proto.dims, data_type=proto.data_type, raw_data=content)
        return tensor(copy, None, where)
    if proto.HasField("raw_data"):
        right = len(proto.raw_data) == count * each.itemsize
    else:
        field = helper.tensor_dtype_to_field(proto.data_type)
        right = len(getattr(proto, field)) == count
    if not right or proto.HasField("segment"):
        raise ModelError("SHAPE", "has another number of values than its shape", where=where)
    try:
        found = np.asarray(numpy_helper.to_array(proto))
    except (ValueError, TypeError, OverflowError):
        raise ModelError("FILE", "cannot be read", where=where) from None
    return found.astype(np.float64) if found.dtype.kind not in "iub" else found
