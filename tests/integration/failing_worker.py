"""`pv-stream run` with a fault in the engine: it fails on every record of one patient."""

from pv_stream.cli.main import main
from pv_stream.domain.ids import PatientId
from pv_stream.engine.advance import advance
from pv_stream.shard import steps

FAILING = PatientId("patient-failing")
#: What an exception of the engine might quote, and what nobody may read anywhere.
QUOTED = "quoted-from-the-record"


def failing_advance(state: object, event: object, **options: object) -> object:
    """Do what the engine does, but for one patient."""
    if getattr(event, "patient_id", None) == FAILING:
        raise RuntimeError(QUOTED)
    return advance(state, event, **options)  # type: ignore[arg-type]


if __name__ == "__main__":
    vars(steps)["advance"] = failing_advance
    main()
