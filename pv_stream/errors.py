"""The exceptions of pv_stream: one tree, and none of it for bad data.

    PvStreamError            every error that we raise on purpose; has an exit code
    ├── UsageError           2  the command was called in a way that cannot work
    ├── ConnectionFailed     3  Kafka, or another service, cannot be reached
    │   └── Unavailable         it could not be reached in time, and nothing of what was asked was done
    ├── DataError            4  a file or a topic cannot be read as a whole
    ├── ActivationRefused    4  the log asks for a rulebook or an engine that is not here (a live worker ends with 6)
    ├── EnvironmentBroken    5  the process cannot go on safely: fence, gap, memory, digest
    └── RulebookError        4  a rulebook does not say what a rulebook must say

Bad *messages* never raise past a decoder: they become a rejection, a hold or a dead letter with a code
(docs/adr/0004-failure-classes.md). So whatever is raised here means that a person must do something, and the
text says what, about which thing, and what to do next. It never holds patient data.
"""


class PvStreamError(Exception):
    """Stand for every error that pv_stream raises on purpose."""

    exit_code = 1


class UsageError(PvStreamError):
    """Say that a command was called in a way that cannot work."""

    exit_code = 2


class ConnectionFailed(PvStreamError):
    """Say which service could not be reached, where, and what to do."""

    exit_code = 3


class Unavailable(ConnectionFailed):
    """Say that something was certainly not done, because a service was away for too long: ask again later."""


class DataError(PvStreamError):
    """Say which file or topic cannot be read as a whole, and why."""

    exit_code = 4


class RulebookError(DataError):
    """Say which entry of a rulebook is wrong, and why."""


class ActivationRefused(DataError):
    """Say which rulebook or engine version a log asks for that is not here, and where to get it."""


class EnvironmentBroken(PvStreamError):
    """Say why the process must end: a supervisor starts it again."""

    exit_code = 5
