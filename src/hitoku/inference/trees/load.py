# SPDX-License-Identifier: Apache-2.0
"""A forest from whatever holds one: an estimator, a booster, or a file that its library wrote."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Final

from hitoku.inference.errors import ModelError
from hitoku.inference.trees import lightgbm_model, sklearn_model, xgboost_model
from hitoku.inference.trees.forest import Forest

__all__ = ["is_trees", "load"]

MAX_FILE_BYTES: Final = 512 * 1024 * 1024

_SKLEARN: Final = ("Tree", "Forest", "ExtraTrees", "GradientBoosting")


def is_trees(source: object) -> bool:
    """Whether `load` is for this: an object of XGBoost, LightGBM or scikit-learn's trees, or such a file."""
    if isinstance(source, str | os.PathLike):
        return Path(source).suffix.lower() in (".json", ".ubj", ".txt", ".lgb", ".model")
    module, name = type(source).__module__, type(source).__name__
    if module.startswith(("xgboost", "lightgbm")):
        return True
    return module.startswith("sklearn.") and any(kind in name for kind in _SKLEARN)


def load(source: Any) -> Forest:
    """The forest in `source`.

    Args:
        source: an estimator or Booster of XGBoost or LightGBM, a scikit-learn estimator made of trees, or
            a path: XGBoost's ``.json`` (``.ubj`` where xgboost is installed) or LightGBM's text.

    Raises:
        ModelError: it is none of these, damaged, too large, or holds what is not computed here.
    """
    if isinstance(source, str | os.PathLike):
        return _file(Path(source))
    module, name = type(source).__module__, type(source).__name__
    if module.startswith("xgboost"):
        return (
            xgboost_model.from_booster(source) if name == "Booster" else xgboost_model.from_estimator(source)
        )
    if module.startswith("lightgbm"):
        return (
            lightgbm_model.from_booster(source)
            if name == "Booster"
            else lightgbm_model.from_estimator(source)
        )
    if module.startswith("sklearn."):
        return sklearn_model.from_estimator(source)
    raise ModelError(
        "FORMAT", "is no model of trees", where=name, remedy="give an estimator, a Booster or a model file"
    )


def _file(path: Path) -> Forest:
    where = f"file {path.name}"
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ModelError("TOO_LARGE", "is larger than 512 MB", where=where)
        data = path.read_bytes()
    except OSError as error:
        raise ModelError("FILE", "cannot be read", where=where) from error
    if path.suffix.lower() == ".ubj":
        return xgboost_model.from_booster(_binary(data, where))
    try:
        text = data.decode()
        if text.lstrip().startswith("tree"):
            return lightgbm_model.from_text(text)
        model = json.loads(text)
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise ModelError(
            "FORMAT",
            "is neither XGBoost's JSON nor LightGBM's text",
            where=where,
            remedy="save it with save_model('model.json') or save_model('model.txt')",
        ) from error
    if not isinstance(model, dict):
        raise ModelError("FORMAT", "is no XGBoost model in JSON", where=where)
    return xgboost_model.from_json(model)


def _binary(data: bytes, where: str) -> Any:
    try:
        import xgboost
    except ImportError as error:
        raise ModelError(
            "FORMAT", "needs xgboost to be read", where=where, remedy="save it with save_model('model.json')"
        ) from error
    booster = xgboost.Booster()
    try:
        booster.load_model(bytearray(data))
    except xgboost.core.XGBoostError as error:
        raise ModelError("FILE", "is no model that xgboost reads", where=where) from error
    return booster
