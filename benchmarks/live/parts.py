"""The parts of the comparison: what is measured together, so that nobody waits for more than he asks for."""

from dataclasses import dataclass
from typing import Final

#: Who is asked about more patients and fewer partitions: each that keeps states, and the base of the ratios.
_KEEPERS: Final = ("raw", "ours", "streams", "flink", "quix")


@dataclass(frozen=True, slots=True)
class Part:
    """Say what one part measures, and about how long three rounds of it took on two cores."""

    name: str
    job: str
    subjects: tuple[str, ...]
    minutes: int
    patients: int = 20_000
    partitions: int = 4
    #: Else the speed over a log that waits.
    latency: bool = False


PARTS: Final = {
    part.name: part
    for part in (
        Part(
            "small",
            "small",
            ("raw", "raw-pydantic", "ours", "ours-2", "streams", "flink", "quix", "faust"),
            25,
        ),
        Part("engine", "engine", ("raw", "ours", "ours-2", "quix", "faust"), 25),
        Part("latency", "small", ("raw", "ours", "streams", "flink", "quix"), 12, latency=True),
        Part("latency-engine", "engine", ("raw", "ours", "quix"), 8, latency=True),
        Part("patients", "small", _KEEPERS, 20, patients=500_000),
        Part("partitions", "small", _KEEPERS, 20, partitions=1),
    )
}
#: Measured by `benchmarks.live.takeover`, after the others.
TAKEOVER: Final = "takeover"
EVERYTHING: Final = (*PARTS, TAKEOVER)
