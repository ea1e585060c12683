"""Progress on stderr: one line that is written over, where a person looks on; quiet in a pipe."""

import sys
from dataclasses import dataclass


@dataclass(slots=True)
class Progress:
    """Say what is going on."""

    shown: int = 0

    def show(self, text: str) -> None:
        """Write over what was shown before."""
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{text.ljust(self.shown)}")
            sys.stderr.flush()
            self.shown = len(text)

    def line(self, text: str) -> None:
        """Write a line that stays."""
        self.show("")
        sys.stderr.write(f"\r{text}\n" if sys.stderr.isatty() else f"{text}\n")
        sys.stderr.flush()
