"""A development broker: real Apache Kafka in KRaft mode, on plain Java, from jars that Maven resolves.

`jars` gets the jars and keeps them; `broker` starts, watches and stops one node. Loopback only, no security:
it is for development and tests. Nothing here knows a topic of pv_stream.
"""
