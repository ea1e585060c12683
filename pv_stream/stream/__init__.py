"""The live shell: everything that speaks to Kafka, and the only package that imports Faust.

It moves bytes between topics and the pure fold of `pv_stream.shard`; it holds no clinical knowledge.
Modules that need Faust or a Kafka client import it themselves, so that importing this package costs nothing.
"""

import sys
from importlib.util import find_spec


def require_client(name: str) -> None:
    """Raise ModuleNotFoundError when a module of an extra (a Kafka client) is missing, without paying for its import.

    An imported one is there; of it no spec is asked, for Faust's module, once imported, has none.
    """
    if name not in sys.modules and find_spec(name) is None:
        message = f"No module named {name!r}"
        raise ModuleNotFoundError(message, name=name)
