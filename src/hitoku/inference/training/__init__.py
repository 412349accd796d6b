# SPDX-License-Identifier: Apache-2.0
"""Training and predicting with an encrypted model on plain data.

Two parties. The *owner* of the model has the secret key and the weights. The *trainer* has samples in clear
and only ever sees encrypted weights. In each round the trainer computes gradients on ciphertexts and sends
back sums over its samples, from which everything else is masked; the owner decrypts the sums, takes a step,
and encrypts the new weights: the refresh that leveled encryption needs, and the only thing the owner learns.

Who learns what, under decision RLWE and with an owner who encrypts the weights that it says it does:

- the trainer: shapes, the kind of model, how many rounds; nothing of a weight. One that does not keep to the
  protocol learns from whether sums are accepted, once (`ModelOwner.refresh`): log2(rounds + 1) bits.
- the owner: in each round the gradient averaged over the trainer's samples (for linear regression: the
  weights after several steps), with the noise that the trainer adds. That is information about the samples:
  few samples, or many rounds, tell much. `EncryptedSGD(noise_multiplier=...)` bounds it by differential
  privacy. **An owner that does not keep to the protocol can read single samples, noise or not**: weights that
  are not alike in all slots, or beyond the bound, look like any others.

Trask ("Building Safe A.I.", 2017) asked for this with a toy cipher; the masked sums are this module's own,
see `hitoku.inference.training.masking` for the argument. Unaudited.
"""

from __future__ import annotations

from hitoku.inference.training.owner import ModelOwner
from hitoku.inference.training.remote import RemoteOwner, serve_owner
from hitoku.inference.training.steps import Shape
from hitoku.inference.training.trainer import EncryptedModel, EncryptedSGD, Refresher

__all__ = [
    "EncryptedModel",
    "EncryptedSGD",
    "ModelOwner",
    "Refresher",
    "RemoteOwner",
    "Shape",
    "serve_owner",
]
