# SPDX-License-Identifier: Apache-2.0
"""CryptoNets' network on one encrypted image with TenSEAL's high-level calls, as its tutorials do it.

Kernel, matrices and the image come from an .npz file that `inference.py` writes. Prints one JSON object:
seconds and CPU-seconds of the server's part, bytes of the encrypted image, the largest error of a score.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import tenseal as ts

DEGREE = 16384
BITS = [40, 26, 26, 26, 26, 26, 26, 40]


def main(path: str) -> None:
    """Encrypt, compute, decrypt, compare."""
    held = np.load(path)
    context = ts.context(ts.SCHEME_TYPE.CKKS, DEGREE, coeff_mod_bit_sizes=BITS)
    context.global_scale = 2**26
    context.generate_galois_keys()
    image = np.pad(held["image"][0, 0], ((0, 1), (0, 1)))
    encrypted, windows = ts.im2col_encoding(context, image.tolist(), 5, 5, 2)
    up = len(encrypted.serialize())
    wall, cpu = time.perf_counter(), time.process_time()
    maps = [
        encrypted.conv2d_im2col(kernel[0].tolist(), windows) + float(bias)
        for kernel, bias in zip(held["kernel"], held["bias"], strict=True)
    ]
    hidden = ts.CKKSVector.pack_vectors(maps)
    hidden.square_()
    hidden = hidden.mm(held["w1"].T.tolist()) + held["b1"].tolist()
    hidden.square_()
    scores = hidden.mm(held["w2"].T.tolist()) + held["b2"].tolist()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    error = float(np.abs(np.array(scores.decrypt()) - held["clear"][0]).max())
    print(json.dumps({"wall": wall, "cpu": cpu, "up": up, "error": error, "degree": DEGREE}))


if __name__ == "__main__":
    main(sys.argv[1])
