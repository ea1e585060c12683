"""Run a command and write the memory of its largest process, in KiB, to a file: `benchmarks.memory_of FILE COMMAND`.

The resource usage of children is that of the largest of all that a process ever had, so each command gets this one.
"""

import resource
import subprocess
import sys
from pathlib import Path

if __name__ == "__main__":
    told, *command = sys.argv[1:]
    done = subprocess.run(command, check=False)  # noqa: S603 - the command of a benchmark
    Path(told).write_text(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss), encoding="utf-8")
    sys.exit(done.returncode)
