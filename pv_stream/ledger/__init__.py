"""The ledger of a shard: its outputs in their order, chained and hashed, so that a change of one is seen.

merkle.py hashes and proves (RFC 6962), chain.py numbers and links what is written, heads.py signs what stands.
"""
