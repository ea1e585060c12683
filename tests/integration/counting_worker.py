"""A worker process with the counting fold: what `pv-stream run` is with the real one."""

import sys

from counting_fold import CountingFold

from pv_stream.errors import PvStreamError
from pv_stream.settings import load_settings
from pv_stream.stream.worker import run_worker

if __name__ == "__main__":
    try:
        sys.exit(run_worker(load_settings(), CountingFold))
    except PvStreamError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
