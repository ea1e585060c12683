"""Merkle trees as RFC 6962 makes them, section 2.1: hashes, proofs of inclusion and of consistency, and their checks.

A leaf is hashed behind a byte 0 and a node behind a byte 1, so that neither passes for the other. A tree of n leaves
splits at the largest power of two below n. Proofs are checked as RFC 9162 says it, sections 2.1.3.2 and 2.1.4.2.
"""

import hashlib
from collections.abc import Sequence
from typing import Final

#: The hash of a tree without leaves.
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of an entry: 32 bytes."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of two trees side by side."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def grown(size: int, peaks: list[bytes], leaf: bytes) -> None:
    """Append a leaf to the peaks of a tree of `size` leaves: the roots of its complete trees, the largest first."""
    # Each complete tree of the new leaf's size joins it; their sizes are the ones at the end of `size` in binary.
    while size & 1:
        leaf = node_hash(peaks.pop(), leaf)
        size >>= 1
    peaks.append(leaf)


def root_of_peaks(peaks: Sequence[bytes]) -> bytes:
    """Return the root of the tree that the peaks stand for."""
    if not peaks:
        return EMPTY_ROOT
    *rest, root = peaks
    for peak in reversed(rest):
        root = node_hash(peak, root)
    return root


def root_hash(leaves: Sequence[bytes]) -> bytes:
    """Return the root of a tree from the hashes of its leaves."""
    peaks: list[bytes] = []
    for size, leaf in enumerate(leaves):
        grown(size, peaks, leaf)
    return root_of_peaks(peaks)


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the hashes that lead from a leaf to the root, from below. Raises IndexError where there is no leaf."""
    if not 0 <= index < len(leaves):
        raise IndexError(index)
    if len(leaves) == 1:
        return []
    middle = _split(len(leaves))
    if index < middle:
        return [*inclusion_proof(leaves[:middle], index), root_hash(leaves[middle:])]
    return [*inclusion_proof(leaves[middle:], index - middle), root_hash(leaves[:middle])]


def consistency_proof(leaves: Sequence[bytes], earlier: int) -> list[bytes]:
    """Return the hashes that show that a tree's first `earlier` leaves are an earlier tree.

    Raises IndexError unless 0 < earlier <= len(leaves).
    """
    if not 0 < earlier <= len(leaves):
        raise IndexError(earlier)
    return _consistency(leaves, earlier, is_whole=True)


def is_included(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Tell whether a proof leads from a leaf to the root of a tree of `size` leaves."""
    if not 0 <= index < size:
        return False
    at, last, found = index, size - 1, leaf
    for each in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            found = node_hash(each, found)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            found = node_hash(found, each)
        at, last = at >> 1, last >> 1
    return last == 0 and found == root


def is_consistent(earlier: int, size: int, proof: Sequence[bytes], earlier_root: bytes, root: bytes) -> bool:
    """Tell whether a proof shows that the tree of `size` leaves begins with the earlier one."""
    if earlier == size:
        return not proof and earlier_root == root
    if not 0 < earlier < size or not proof:
        return False
    path = [earlier_root, *proof] if earlier & (earlier - 1) == 0 else list(proof)
    at, last = earlier - 1, size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    before = found = path[0]
    for each in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            before, found = node_hash(each, before), node_hash(each, found)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            found = node_hash(found, each)
        at, last = at >> 1, last >> 1
    return last == 0 and before == earlier_root and found == root


def _split(size: int) -> int:
    """Return the largest power of two below a size of at least 2."""
    return 1 << ((size - 1).bit_length() - 1)


def _consistency(leaves: Sequence[bytes], earlier: int, *, is_whole: bool) -> list[bytes]:
    if earlier == len(leaves):
        return [] if is_whole else [root_hash(leaves)]
    middle = _split(len(leaves))
    if earlier <= middle:
        return [*_consistency(leaves[:middle], earlier, is_whole=is_whole), root_hash(leaves[middle:])]
    return [*_consistency(leaves[middle:], earlier - middle, is_whole=False), root_hash(leaves[:middle])]
