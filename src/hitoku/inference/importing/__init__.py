# SPDX-License-Identifier: Apache-2.0
"""Models in: ONNX, scikit-learn, XGBoost and LightGBM, as a `Network` of layers or a `Forest` of trees."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hitoku.inference.errors import ModelError

if TYPE_CHECKING:
    from hitoku.inference.network import Network

__all__ = ["load"]

_PICKLES = {".pkl", ".pickle", ".joblib", ".pt", ".pth", ".h5", ".keras", ".npy", ".npz", ".ckpt"}


def load(model: Any, **options: Any) -> Network | Any:
    """A trained model as layers or trees.

    Args:
        model: the path of an ONNX file or of an XGBoost or LightGBM model file; or a fitted estimator of
            scikit-learn, XGBoost or LightGBM.
        options: for an ONNX file ``input_shape``, ``output`` and ``name``; see `onnx_file.load`.

    Returns:
        A `Network`, or for trees a `Forest`.

    Raises:
        ModelError: it cannot be read or computed on encrypted inputs; it says why and what to do.
    """
    from hitoku.inference.network import Network

    if isinstance(model, Network):
        return model
    if isinstance(model, (str, Path)):
        return _file(Path(model), options)
    if options:
        raise ModelError("FORMAT", f"takes no {', '.join(sorted(options))}", where=type(model).__name__)
    if type(model).__module__.partition(".")[0] in ("xgboost", "lightgbm", "sklearn"):
        from hitoku.inference.importing import sklearn_models
        from hitoku.inference.trees.load import is_trees

        return _trees(model) if is_trees(model) else sklearn_models.load(model)
    raise ModelError(
        "FORMAT",
        "is no model that is read here",
        where=f"{type(model).__module__}.{type(model).__qualname__}",
        remedy="export it to an ONNX file (torch.onnx.export, tf2onnx, skl2onnx) and load that",
    )


def _file(path: Path, options: dict[str, Any]) -> Any:
    suffix = path.suffix.lower()
    if suffix == ".onnx":
        from hitoku.inference.importing import onnx_file

        return onnx_file.load(path, **options)
    if suffix in _PICKLES:
        raise ModelError(
            "FORMAT",
            "is a format that can run code when it is loaded, or that says nothing of the model's layers",
            where=f'file "{path.name}"',
            remedy="load it where you trust it and pass the estimator, or export it to ONNX",
        )
    if suffix in (".json", ".txt", ".ubj"):
        return _trees(path)
    raise ModelError(
        "FORMAT",
        "is no model file that is read here",
        where=f'file "{path.name}"',
        remedy="give an .onnx file, or an XGBoost (.json) or LightGBM (.txt) model",
    )


def _trees(model: Any) -> Any:
    from hitoku.inference.trees.load import load as load_trees

    return load_trees(model)
