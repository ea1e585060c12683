"""Let `python -m pv_stream` do what `pv-stream` does."""

from pv_stream.cli.main import main

if __name__ == "__main__":
    main()
