"""What may go wrong in a run, as a plan that hypothesis draws and shrinks: the same plan gives the same run.

A fault comes so many awaits after the one before it: between any two steps of any process, so also inside a
transaction, a restore, a rebalance or the recovery from another fault.
"""

from dataclasses import dataclass
from enum import Enum, auto

from hypothesis import strategies as st

AWAITS_BETWEEN_MAX = 250
FAULTS_MAX = 9
#: Below and above the session timeout and the transaction timeout of the simulated workers.
SECONDS = (0.3, 3.0, 7.0, 14.0, 40.0)
RECORDS = (4, 12, 30)


class Kind(Enum):
    """Name what happens."""

    KILL = auto()  # a worker vanishes and tidies nothing up; its requests still arrive
    PAUSE = auto()  # a worker stands still, and does not know it when it goes on
    TERMINATE = auto()  # a worker is asked to stop, and another is started
    DEAF = auto()  # a worker hears nothing of its group and works on, also when it was replaced
    REBALANCE = auto()  # the shards go to other workers
    DISCONNECT = auto()  # connections break: what arrived is done, the answers are lost
    CUT_OFF = auto()  # nothing goes to or from a worker, without a word
    BROKER_DOWN = auto()  # nobody's requests arrive
    BATCH_REFUSED = auto()  # one batch of a transaction is not taken
    RUN_TWICE = auto()  # a fetched run is delivered twice
    RUN_LATE = auto()  # a fetched run is overtaken by the next one
    RUN_LOST = auto()  # a fetched run is never delivered
    OFFSET_LOST = auto()  # the group's offset of a shard expires
    STRANGER = auto()  # another program has a transaction open on a shard's states, and aborts it
    COMPACT = auto()  # the broker compacts a shard's states


@dataclass(frozen=True, slots=True)
class Fault:
    """Let one thing go wrong, so many awaits after the fault before."""

    after: int
    kind: Kind
    which: int = 0
    seconds: float = SECONDS[0]


@dataclass(frozen=True, slots=True)
class Plan:
    """Say everything that is chosen in a run; `seed` chooses delays, the order of processes and the input."""

    seed: int
    faults: tuple[Fault, ...] = ()
    workers: int = 2
    shards: int = 2
    records: int = RECORDS[0]

    def __repr__(self) -> str:
        """Return the plan as it can be pasted into an `@example`."""
        faults = "".join(
            f"\n    Fault({each.after}, Kind.{each.kind.name}, {each.which}, {each.seconds}),"
            for each in self.faults
        )
        return f"Plan({self.seed}, ({faults}), {self.workers}, {self.shards}, {self.records})"


@st.composite
def plans(draw: st.DrawFn, among: tuple[Kind, ...] = tuple(Kind)) -> Plan:
    """Plans of runs: each has some kinds of faults only, because many kinds at once hide one another."""
    kinds = draw(st.lists(st.sampled_from(among), min_size=1, max_size=5, unique=True))
    fault = st.builds(
        Fault,
        after=st.integers(0, AWAITS_BETWEEN_MAX),
        kind=st.sampled_from(kinds),
        which=st.integers(0, 2),
        seconds=st.sampled_from(SECONDS),
    )
    return Plan(
        seed=draw(st.integers(0, 2**32 - 1)),
        faults=tuple(draw(st.lists(fault, max_size=FAULTS_MAX))),
        workers=draw(st.integers(1, 3)),
        shards=draw(st.integers(1, 3)),
        records=draw(st.sampled_from(RECORDS)),
    )
