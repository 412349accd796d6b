# SPDX-License-Identifier: Apache-2.0
# mypy: disable-error-code="import-not-found, import-untyped, misc, no-untyped-call"
"""Write the test models that come from scikit-learn through skl2onnx, with what scikit-learn itself computes.

::

    uv run --isolated --no-project --with skl2onnx --with scikit-learn --with onnx \
        python tests/unit/inference/models/make_sklearn.py
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from skl2onnx import to_onnx
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import LinearSVC

HERE = Path(__file__).resolve().parent


def keep(name: str, model: Any, table: Any, opset: int, **options: Any) -> None:
    x = table.data.astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # some stop before they have converged: their numbers serve all the same
        model.fit(x, table.target)
    found = to_onnx(model, x[:1], target_opset=opset, options={id(model[-1]): options} if options else None)
    found.doc_string = ""
    onnx.save(found, HERE / f"{name}.onnx")
    few = x[:: max(1, len(x) // 12)][:12]
    answers: dict[str, Any] = {"x": few, "predict": np.asarray(model.predict(few)).astype(np.float64)}
    if hasattr(model, "predict_proba"):
        answers["proba"] = model.predict_proba(few)
    elif hasattr(model, "decision_function"):
        answers["scores"] = model.decision_function(few)
    np.savez_compressed(HERE / f"{name}.npz", **answers)


def main() -> int:
    cancer, iris, diabetes = load_breast_cancer(), load_iris(), load_diabetes()
    scaled = StandardScaler
    keep("logistic", make_pipeline(scaled(), LogisticRegression()), cancer, 18, zipmap=False)
    keep("logistic_zipmap", make_pipeline(scaled(), LogisticRegression()), iris, 15)
    keep("ridge", make_pipeline(MinMaxScaler(), PCA(6), Ridge()), diabetes, 17)
    keep("svc", make_pipeline(scaled(), LinearSVC()), iris, 17, raw_scores=True)
    keep(
        "sgd",
        make_pipeline(scaled(), SGDClassifier(loss="log_loss", random_state=1)),
        cancer,
        17,
        zipmap=False,
    )
    hidden = (8, 5)
    keep(
        "mlp_binary",
        make_pipeline(
            scaled(), MLPClassifier(hidden_layer_sizes=hidden, activation="tanh", random_state=1, max_iter=60)
        ),
        cancer,
        17,
        zipmap=False,
    )
    keep(
        "mlp_classes",
        make_pipeline(scaled(), MLPClassifier(hidden_layer_sizes=hidden, random_state=1, max_iter=60)),
        iris,
        17,
        zipmap=False,
    )
    keep(
        "mlp_regressor",
        make_pipeline(
            scaled(),
            MLPRegressor(hidden_layer_sizes=hidden, activation="logistic", random_state=1, max_iter=60),
        ),
        diabetes,
        17,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
