# SPDX-License-Identifier: Apache-2.0
"""Merkle trees in the shape of RFC 6962: roots, inclusion proofs, consistency proofs, and their checks.

What a proof gives: whoever holds a root of size n and trusts SHA-256 to be collision-resistant accepts
an inclusion proof only for the very entry at that position, and a consistency proof only for a tree
that has the first n entries unchanged and in order (RFC 6962 section 2.1; the checks are RFC 9162
sections 2.1.3.2 and 2.1.4.2). Leaves and nodes are hashed with different prefixes, so that no node
can pass for a leaf. Proofs show no entry but the hashes of subtrees.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence

__all__ = [
    "EMPTY_ROOT",
    "HASH_BYTES",
    "Frontier",
    "NodeSource",
    "consistency_proof",
    "inclusion_proof",
    "leaf_hash",
    "node_hash",
    "root_hash",
    "verify_consistency",
    "verify_inclusion",
]

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()
MAX_PROOF_HASHES = 128

NodeSource = Callable[[int, int], bytes]
"""`(level, index)` to the hash of the complete subtree of `1 << level` leaves from `index << level` on."""


def leaf_hash(entry: bytes) -> bytes:
    """The hash of one entry (RFC 6962 2.1)."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of two subtrees (RFC 6962 2.1)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """The right edge of a growing tree: all that appending needs, O(log n) hashes."""

    def __init__(self, size: int = 0, edge: Iterable[tuple[int, bytes]] = ()) -> None:
        self.size = size
        self._edge = list(edge)
        if [level for level, _ in self._edge] != _levels(size):
            raise ValueError("the edge does not belong to a tree of this size")

    def append(self, leaf: bytes) -> list[tuple[int, int, bytes]]:
        """Add a leaf's hash. Returns the complete subtrees that it closes as (level, index, hash)."""
        level, index, value = 0, self.size, leaf
        made = [(level, index, value)]
        while self._edge and self._edge[-1][0] == level:
            value = node_hash(self._edge.pop()[1], value)
            level, index = level + 1, index >> 1
            made.append((level, index, value))
        self._edge.append((level, value))
        self.size += 1
        return made

    def push(self, leaf: bytes) -> None:
        """Add a leaf's hash, as `append` does, without saying what it closed: for audits of whole logs."""
        level, rest, sha256 = 0, self.size, hashlib.sha256
        while rest & 1:
            leaf = sha256(b"\x01" + self._edge.pop()[1] + leaf).digest()
            level, rest = level + 1, rest >> 1
        self._edge.append((level, leaf))
        self.size += 1

    def root(self) -> bytes:
        """The root of the tree so far."""
        if not self._edge:
            return EMPTY_ROOT
        value = self._edge[-1][1]
        for _, left in reversed(self._edge[:-1]):
            value = node_hash(left, value)
        return value


def _levels(size: int) -> list[int]:
    return [level for level in range(size.bit_length() - 1, -1, -1) if size >> level & 1]


def edge_of(size: int, node: NodeSource) -> list[tuple[int, bytes]]:
    """The right edge of a tree of that size, as `Frontier` takes it."""
    edge, start = [], 0
    for level in _levels(size):
        edge.append((level, node(level, start >> level)))
        start += 1 << level
    return edge


def _range_hash(node: NodeSource, start: int, end: int) -> bytes:
    count = end - start
    if count & (count - 1) == 0:
        level = count.bit_length() - 1
        return node(level, start >> level)
    split = start + _split(count)
    return node_hash(_range_hash(node, start, split), _range_hash(node, split, end))


def _split(count: int) -> int:
    """The largest power of two smaller than `count`."""
    return 1 << (count - 1).bit_length() - 1


def root_hash(size: int, node: NodeSource) -> bytes:
    """The root of the tree of the first `size` leaves."""
    return _range_hash(node, 0, size) if size else EMPTY_ROOT


def inclusion_proof(index: int, size: int, node: NodeSource) -> list[bytes]:
    """The audit path of leaf `index` in the tree of `size` leaves (RFC 6962 2.1.1), leaf end first.

    Raises:
        ValueError: the leaf is not in the tree.
    """
    if not 0 <= index < size:
        raise ValueError("the entry is not in a tree of that size")
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        split = start + _split(end - start)
        if index < split:
            path.append(_range_hash(node, split, end))
            end = split
        else:
            path.append(_range_hash(node, start, split))
            start = split
    path.reverse()
    return path


def consistency_proof(old: int, new: int, node: NodeSource) -> list[bytes]:
    """The proof that the tree of `new` leaves begins with the tree of `old` leaves (RFC 6962 2.1.2).

    Raises:
        ValueError: `old` is larger than `new`.
    """
    if not 0 <= old <= new:
        raise ValueError("a tree does not shrink")
    if old in (0, new):
        return []
    proof: list[bytes] = []
    start, end, known = 0, new, True
    while end != old:
        split = start + _split(end - start)
        if old <= split:
            proof.append(_range_hash(node, split, end))
            end = split
        else:
            proof.append(_range_hash(node, start, split))
            start, known = split, False
    if not known:
        proof.append(_range_hash(node, start, end))
    proof.reverse()
    return proof


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether `proof` shows the leaf's hash at `index` of the tree with that size and root."""
    if not 0 <= index < size or len(proof) > MAX_PROOF_HASHES or not _hashes(leaf, root, *proof):
        return False
    node, last, value = index, size - 1, leaf
    for step in proof:
        if last == 0:
            return False
        if node & 1 or node == last:
            value = node_hash(step, value)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            value = node_hash(value, step)
        node, last = node >> 1, last >> 1
    return last == 0 and value == root


def verify_consistency(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether `proof` shows that the tree `(new, new_root)` begins with the tree `(old, old_root)`."""
    if not 0 <= old <= new or len(proof) > MAX_PROOF_HASHES or not _hashes(old_root, new_root, *proof):
        return False
    if old == new:
        return not proof and old_root == new_root
    if old == 0:
        return not proof and old_root == EMPTY_ROOT
    steps = list(proof)
    if old & (old - 1) == 0:
        steps.insert(0, old_root)
    if not steps:
        return False
    node, last = old - 1, new - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    first = second = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            first, second = node_hash(step, first), node_hash(step, second)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            second = node_hash(second, step)
        node, last = node >> 1, last >> 1
    return last == 0 and first == old_root and second == new_root


def _hashes(*values: bytes) -> bool:
    return all(len(value) == HASH_BYTES for value in values)
