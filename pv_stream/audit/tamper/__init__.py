"""Tamper evidence: the ledger of each shard, as its headers and tree heads say it, beside what an archive holds.

entries.py reads both, checking.py compares them, second_place.py keeps heads elsewhere, proof.py shows one record.
"""
