"""pv_stream flags suspected DRESS in a stream of clinical messages, and can show why, the same bytes live and replayed.

The package is layered; imports only point down (pyproject.toml holds the contract):

    cli
    stream | audit | ingest     the shell: Kafka, files, sockets
    shard                       one shard as a pure fold of bytes, for live and replay alike
    codec | engine              bytes <-> domain | the fold over one patient
    rules                       clinical knowledge as data
    domain                      vocabulary, state and output types
    errors
"""

__version__ = "0.1.0"
