"""The live shell: everything that speaks to Kafka, and the only package that imports Faust.

It moves bytes between topics and the pure fold of `pv_stream.shard`; it holds no clinical knowledge.
Modules that need Faust or a Kafka client import it themselves, so that importing this package costs nothing.
"""
