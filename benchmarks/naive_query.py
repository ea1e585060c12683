"""The naive rule as a query: `python naive_query.py polars|duckdb FILE THRESHOLD`; prints events and patients as JSON.

It runs in the environment of the peers and imports nothing of ours.
"""

import json
import sys


def by_polars(file: str, threshold: int) -> tuple[int, int]:
    """Return how many events are at the threshold, and of how many patients."""
    import polars as pl  # noqa: PLC0415 - the other peer is not paid for

    observation = pl.Struct({"analyte": pl.String, "value": pl.String})
    events = pl.scan_ndjson(file, schema={"patient_id": pl.String, "observation": observation})
    sent = pl.col("observation").struct
    at_threshold = events.filter(
        (sent.field("analyte") == "eosinophils") & (sent.field("value").cast(pl.Float64) >= threshold)
    )
    found = at_threshold.select(pl.len(), patients=pl.col("patient_id").n_unique()).collect(
        engine="streaming"
    )
    return int(found["len"].item()), int(found["patients"].item())


def by_duckdb(file: str, threshold: int) -> tuple[int, int]:
    """Return how many events are at the threshold, and of how many patients."""
    import duckdb  # noqa: PLC0415 - see above

    query = """
        SELECT count(*), count(DISTINCT patient_id)
        FROM read_json(?, format = 'newline_delimited',
                       columns = {patient_id: 'VARCHAR', observation: 'STRUCT(analyte VARCHAR, value VARCHAR)'})
        WHERE observation.analyte = 'eosinophils' AND observation.value::DOUBLE >= ?
    """
    row = duckdb.execute(query, [file, threshold]).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


if __name__ == "__main__":
    peer, name, limit = sys.argv[1:]
    events, patients = {"polars": by_polars, "duckdb": by_duckdb}[peer](name, int(limit))
    sys.stdout.write(json.dumps({"events": events, "patients": patients}) + "\n")
