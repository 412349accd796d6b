# SPDX-License-Identifier: Apache-2.0
"""The tree against the definitions of RFC 6962, written out naively."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitoku.room import merkle


def naive_root(entries: list[bytes]) -> bytes:
    if not entries:
        return hashlib.sha256(b"").digest()
    if len(entries) == 1:
        return hashlib.sha256(b"\x00" + entries[0]).digest()
    k = 1
    while k * 2 < len(entries):
        k *= 2
    return hashlib.sha256(b"\x01" + naive_root(entries[:k]) + naive_root(entries[k:])).digest()


class Tree:
    def __init__(self, entries: list[bytes]) -> None:
        self.entries = entries
        self.nodes: dict[tuple[int, int], bytes] = {}
        self.frontier = merkle.Frontier()
        for entry in entries:
            for level, index, value in self.frontier.append(merkle.leaf_hash(entry)):
                self.nodes[level, index] = value

    def node(self, level: int, index: int) -> bytes:
        return self.nodes[level, index]


def some(n: int) -> list[bytes]:
    return [b"entry %d" % i for i in range(n)]


@pytest.mark.parametrize("n", [*range(20), 31, 32, 33, 100])
def test_root_is_the_definition(n: int) -> None:
    tree = Tree(some(n))
    assert tree.frontier.root() == naive_root(some(n)) == merkle.root_hash(n, tree.node)
    again = merkle.Frontier(n, merkle.edge_of(n, tree.node))
    assert again.root() == tree.frontier.root()


def test_known_answers() -> None:
    # RFC 6962's empty root and the one-leaf tree of the empty string.
    assert merkle.EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert merkle.leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"


@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 9, 21])
def test_every_inclusion_proof_holds_and_no_other(n: int) -> None:
    tree = Tree(some(n))
    root = tree.frontier.root()
    for i in range(n):
        proof = merkle.inclusion_proof(i, n, tree.node)
        leaf = merkle.leaf_hash(tree.entries[i])
        assert merkle.verify_inclusion(leaf, i, n, proof, root)
        assert not merkle.verify_inclusion(merkle.leaf_hash(b"other"), i, n, proof, root)
        assert not any(merkle.verify_inclusion(leaf, j, n, proof, root) for j in range(n) if j != i)
        assert not merkle.verify_inclusion(leaf, i, n, [*proof, root], root)
        if proof:
            assert not merkle.verify_inclusion(leaf, i, n, proof[:-1], root)


@given(st.integers(0, 70), st.integers(0, 70), st.data())
def test_consistency(a: int, b: int, data: st.DataObject) -> None:
    old, new = min(a, b), max(a, b)
    tree = Tree(some(new))
    old_root = naive_root(some(old))
    new_root = tree.frontier.root()
    proof = merkle.consistency_proof(old, new, tree.node)
    assert merkle.verify_consistency(old, old_root, new, new_root, proof)
    if 0 < old < new:
        forked = naive_root([*some(old - 1), b"forked"])
        assert not merkle.verify_consistency(old, forked, new, new_root, proof)
        cut = data.draw(st.integers(0, len(proof) - 1))
        assert not merkle.verify_consistency(old, old_root, new, new_root, proof[:cut] + proof[cut + 1 :])


@given(st.integers(1, 40), st.data())
def test_a_proof_altered_in_any_bit_fails(n: int, data: st.DataObject) -> None:
    tree = Tree(some(n))
    i = data.draw(st.integers(0, n - 1))
    proof = merkle.inclusion_proof(i, n, tree.node)
    if not proof:
        return
    step = data.draw(st.integers(0, len(proof) - 1))
    bit = data.draw(st.integers(0, 255))
    altered = bytearray(proof[step])
    altered[bit // 8] ^= 1 << bit % 8
    proof[step] = bytes(altered)
    assert not merkle.verify_inclusion(merkle.leaf_hash(tree.entries[i]), i, n, proof, tree.frontier.root())


def test_impossible_proofs_are_refused() -> None:
    tree = Tree(some(3))
    with pytest.raises(ValueError, match="not in a tree"):
        merkle.inclusion_proof(3, 3, tree.node)
    with pytest.raises(ValueError, match="shrink"):
        merkle.consistency_proof(4, 3, tree.node)
    with pytest.raises(ValueError, match="edge"):
        merkle.Frontier(3, [])
    root = tree.frontier.root()
    assert not merkle.verify_inclusion(b"short", 0, 1, [], root)
    assert not merkle.verify_inclusion(root, 0, 1 << 200, [root] * 200, root)
    assert not merkle.verify_consistency(3, root, 2, root, [])
    assert not merkle.verify_consistency(2, root, 3, root, [])
