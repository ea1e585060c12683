"""The doctor: looks at a cluster, a log and a group without changing anything, and says what to do about what it finds.

`judgements` knows what is wrong and what mends it, from plain values; `examination` asks Kafka for those values.
"""
