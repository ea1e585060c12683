"""How fast the live worker is beside its peers: the same log, the same job, one after another in each round.

    python -m benchmarks.live [--subjects ours,raw] [--jobs small,engine] [--events N] [--repeats N] [--json] [--quick]

It starts a Kafka broker of its own, writes each log once, lets every subject read it in turn, and compares what they
told. A figure says little about another machine; the ratios to the raw loop of the same round say more.
"""

import sys

from benchmarks.live.comparison import main

if __name__ == "__main__":
    sys.exit(main())
