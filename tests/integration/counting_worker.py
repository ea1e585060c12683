"""A worker process with the counting fold: what `pv-stream run` is with the real one.

COUNTING_FOLD_SECONDS makes each record that slow, so that a test can interrupt the worker half way.
"""

import os
import sys
import time
from collections.abc import Sequence

from pv_stream.errors import PvStreamError
from pv_stream.settings import load_settings
from pv_stream.shard.fold import RawRecord
from pv_stream.stream.worker import run_worker
from tests.integration.counting_fold import CountingFold, CountingRun

SECONDS_PER_RECORD = float(os.environ.get("COUNTING_FOLD_SECONDS", "0"))


class SlowFold(CountingFold):
    """Count, slowly."""

    def process(self, records: Sequence[RawRecord]) -> CountingRun:
        time.sleep(SECONDS_PER_RECORD * len(records))
        return super().process(records)


if __name__ == "__main__":
    try:
        sys.exit(run_worker(load_settings(), SlowFold))
    except PvStreamError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
