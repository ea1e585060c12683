"""Let `python -m pv_stream.cli` be `pv-stream`."""

from pv_stream.cli.main import main

main()
