"""RFC 6962: the known answers of its authors' implementation, and every proof of every small tree."""

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pv_stream.ledger.merkle import (
    EMPTY_ROOT,
    consistency_proof,
    inclusion_proof,
    is_consistent,
    is_included,
    leaf_hash,
    root_hash,
)

#: The entries and roots that the tests of Certificate Transparency use for trees of 1 to 8 leaves.
ENTRIES = tuple(
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
)
ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
LEAVES = tuple(map(leaf_hash, ENTRIES))
SIZES_MAX = 20


def numbered(count: int) -> list[bytes]:
    return [leaf_hash(str(number).encode()) for number in range(count)]


def recursive(leaves: Sequence[bytes]) -> bytes:
    """The definition of RFC 6962, section 2.1, word by word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = max(2**power for power in range(len(leaves)) if 2**power < len(leaves))
    return hashlib.sha256(b"\x01" + recursive(leaves[:k]) + recursive(leaves[k:])).digest()


@pytest.mark.parametrize("size", range(1, 9))
def test_the_known_roots(size: int) -> None:
    assert root_hash(LEAVES[:size]).hex() == ROOTS[size - 1]


def test_a_tree_without_leaves_has_the_hash_of_nothing() -> None:
    assert root_hash([]) == EMPTY_ROOT == hashlib.sha256(b"").digest()


@given(st.integers(0, 300))
def test_the_peaks_give_the_root_of_the_definition(size: int) -> None:
    assert root_hash(numbered(size)) == recursive(numbered(size))


@pytest.mark.parametrize("size", range(1, SIZES_MAX))
def test_every_leaf_is_proved_and_nothing_else(size: int) -> None:
    leaves = numbered(size)
    root = root_hash(leaves)
    for index, leaf in enumerate(leaves):
        proof = inclusion_proof(leaves, index)
        assert is_included(leaf, index, size, proof, root)
        assert not is_included(leaf_hash(b"another"), index, size, proof, root)
        assert not is_included(leaf, index, size, proof, leaf_hash(b"another root"))
        assert not is_included(leaf, index, size, [*proof, leaf], root)
        assert not is_included(leaf, size, size, proof, root)
        for other in set(range(size)) - {index}:
            assert not is_included(leaf, other, size, proof, root)
        for place in range(len(proof)):
            assert not is_included(leaf, index, size, proof[:place] + proof[place + 1 :], root)


@pytest.mark.parametrize("size", range(1, SIZES_MAX))
def test_every_beginning_is_proved_and_no_fork(size: int) -> None:
    leaves = numbered(size)
    root = root_hash(leaves)
    for earlier in range(1, size + 1):
        proof = consistency_proof(leaves, earlier)
        earlier_root = root_hash(leaves[:earlier])
        assert is_consistent(earlier, size, proof, earlier_root, root)
        fork = root_hash([*leaves[: earlier - 1], leaf_hash(b"another")])
        assert not is_consistent(earlier, size, proof, fork, root)
        assert not is_consistent(earlier, size, proof, earlier_root, leaf_hash(b"another root"))
        assert not is_consistent(earlier, size, [*proof, root], earlier_root, root)
        assert not is_consistent(0, size, proof, earlier_root, root)
        for place in range(len(proof)):
            assert not is_consistent(earlier, size, proof[:place] + proof[place + 1 :], earlier_root, root)


@pytest.mark.parametrize("index", [-1, 3])
def test_a_leaf_that_is_not_there_has_no_proof(index: int) -> None:
    with pytest.raises(IndexError):
        inclusion_proof(numbered(3), index)


@pytest.mark.parametrize("earlier", [0, 4])
def test_a_tree_that_is_larger_or_empty_is_no_beginning(earlier: int) -> None:
    with pytest.raises(IndexError):
        consistency_proof(numbered(3), earlier)
