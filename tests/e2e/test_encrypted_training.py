# SPDX-License-Identifier: Apache-2.0
"""The owner of a model and the trainer as two processes: the trainer has the samples, the owner the
weights."""

from __future__ import annotations

import socket
import subprocess
import sys

import numpy as np
import pytest

pytestmark = pytest.mark.e2e

OWNER = """
import json, socket, sys
import numpy as np
from hitoku.inference.training import ModelOwner, Shape, serve_owner
from hitoku.inference.training.remote import _send
owner = ModelOwner(Shape("logistic", 3, bound=4.0, reach=8.0), rate=8.0)
with socket.create_server(("127.0.0.1", 0)) as listener:
    print(listener.getsockname()[1], flush=True)
    connection, _ = listener.accept()
    _send(connection, b"K", owner.keys())
    _send(connection, b"W", owner.send())
    rounds = serve_owner(owner, connection)
print(json.dumps({"rounds": rounds, "weights": owner.weights.tolist()}))
"""


def test_two_processes_train_a_model_that_one_of_them_cannot_read():
    import json

    from hitoku.inference.training import EncryptedSGD, RemoteOwner
    from hitoku.inference.training.remote import _receive

    source = np.random.default_rng(9)
    x = source.normal(size=(300, 3)) * 0.4
    y = (x @ [1.0, 2.0, -1.5] + 0.2 > 0).astype(float)
    process = subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        with socket.create_connection(("127.0.0.1", int(process.stdout.readline()))) as connection:
            keys, weights = _receive(connection)[1], _receive(connection)[1]
            EncryptedSGD(keys, weights, RemoteOwner(connection)).partial_fit(x, y, rounds=10)
        told = json.loads(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert told["rounds"] == 10
    scores = np.column_stack([x, np.ones(len(x))]) @ np.array(told["weights"])
    assert ((scores > 0) == y).mean() > 0.9
