# SPDX-License-Identifier: Apache-2.0
# mypy: disable-error-code="import-not-found, import-untyped, misc, no-untyped-call"
"""Write ``keras.onnx``: a network of Keras through tf2onnx, channels last, with what Keras itself computes.

TensorFlow is no dependency of hitoku; run this in an environment of its own::

    uv run --isolated --no-project --with tensorflow-cpu --with tf2onnx --with onnx \
        python tests/unit/inference/models/make_keras.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import keras
import numpy as np
import onnx
import tensorflow as tf
import tf2onnx

HERE = Path(__file__).resolve().parent


def main() -> int:
    keras.utils.set_random_seed(3)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((12, 10, 2)),
            layers.Conv2D(4, 3, strides=2, padding="same", activation="relu"),
            layers.BatchNormalization(beta_initializer="ones"),
            layers.AveragePooling2D(2),
            layers.Conv2D(3, 2, activation="tanh"),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(7, activation="elu"),
            layers.Dense(4, activation="softmax"),
        ]
    )
    x = np.random.default_rng(0).normal(size=(6, 12, 10, 2)).astype(np.float32)
    y = model.predict(x, verbose=0)
    signature = [tf.TensorSpec((None, 12, 10, 2), tf.float32, name="x")]
    function = tf.function(lambda values: model(values, training=False))
    found, _ = tf2onnx.convert.from_function(function, signature, opset=17)
    found.doc_string = ""
    onnx.save(found, HERE / "keras.onnx")
    np.savez_compressed(HERE / "keras.npz", x=x, y=y)
    return 0


if __name__ == "__main__":
    sys.exit(main())
