"""openFDA files: where one report ends and the next begins, however the file is written and wherever it is cut."""

import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pv_stream.ingest.feed import Feed
from pv_stream.ingest.icsr import openfda_files
from pv_stream.ingest.icsr.openfda_files import split_results
from pv_stream.ingest.intake import Intake
from pv_stream.ingest.rejects import RejectStore
from pv_stream.ingest.sources import Format, find_format, records
from tests.unit.ingest.messages import FIXTURES, fixture

LIMIT = 1024 * 1024
VERSIONS = fixture("openfda/versions.ndjson")
AWKWARD = [
    {"a": 'x\\"]}{', "results": [{"b": 1}]},
    {"c": ["]", {"d": "\\"}]},
    {},
    {"e": "é" * 30},
]


def _read(path: Path) -> list[tuple[Format | None, bytes]]:
    return [(form, record.content) for form, record in records(path, Format.AUTO, LIMIT)]


def _written(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def test_a_file_of_results_gives_each_report(tmp_path: Path) -> None:
    path = FIXTURES / "openfda/results.json"
    whole = json.loads(path.read_bytes())["results"]
    assert [json.loads(content) for _, content in _read(path)] == whole
    assert {form for form, _ in _read(path)} == {Format.OPENFDA}
    compact = _written(tmp_path, "compact.json", json.dumps({"meta": {}, "results": whole}).encode())
    assert [json.loads(content) for _, content in _read(compact)] == whole
    array = _written(tmp_path, "array.json", json.dumps(whole).encode())
    assert [json.loads(content) for _, content in _read(array)] == whole


def test_files_that_were_written_one_behind_the_other_are_all_read() -> None:
    one = json.dumps({"meta": {}, "results": AWKWARD, "z": [{"y": 1}]}).encode()
    for content in (one + one, one + b"\n" + json.dumps(AWKWARD).encode() + one):
        pieces = list(split_results(io.BytesIO(content), LIMIT))
        assert [json.loads(piece.content) for piece in pieces] == AWKWARD * (content.count(b'"d"'))


@pytest.mark.parametrize("suffix", [".json", ".ndjson", ".jsonl", ""])
def test_reports_one_to_a_line_are_messages_of_their_own(tmp_path: Path, suffix: str) -> None:
    path = _written(tmp_path, f"in{suffix}", VERSIONS)
    assert _read(path) == [(Format.OPENFDA, line) for line in VERSIONS.splitlines()]


def test_a_line_longer_than_what_is_looked_at_is_still_one_report(tmp_path: Path) -> None:
    first = json.dumps({"safetyreportid": "1", "patient": {"reaction": [{"x": "y" * 70_000}]}}).encode()
    path = _written(tmp_path, "in.json", first + b"\n" + VERSIONS)
    assert _read(path) == [(Format.OPENFDA, line) for line in (first, *VERSIONS.splitlines())]


@pytest.mark.parametrize("indent", [None, 1])
def test_one_report_is_one_message(tmp_path: Path, indent: int | None) -> None:
    content = json.dumps(json.loads(VERSIONS.splitlines()[0]), indent=indent).encode()
    assert _read(_written(tmp_path, "in.json", content)) == [(Format.OPENFDA, content)]


@pytest.mark.parametrize("key", ["safetyreportid", "drugcharacterization", "reactionmeddrapt"])
def test_a_report_is_known_by_any_of_its_words(key: str) -> None:
    assert find_format(f'{{\n"a": {{"{key}": "1"}}'.encode(), ".json") is Format.OPENFDA


def test_what_is_said_to_be_fhir_is_not_openfda() -> None:
    assert find_format(b'{"resourceType": "Bundle", "meta": {}, "results": []}', ".json") is Format.FHIR


@pytest.mark.parametrize("chunk_bytes", [1, 2, 3, 7, 64, LIMIT])
def test_a_file_may_be_cut_into_pieces_anywhere(monkeypatch: pytest.MonkeyPatch, chunk_bytes: int) -> None:
    monkeypatch.setattr(openfda_files, "_CHUNK_BYTES", chunk_bytes)
    document = {
        "meta": {"results": {"skip": 0}, "x": ["results", [{"q": 1}]]},
        "results": AWKWARD,
        "z": [{"y": 1}],
    }
    for content in (json.dumps(document).encode(), json.dumps(AWKWARD).encode()):
        pieces = list(split_results(io.BytesIO(content), LIMIT))
        assert [json.loads(piece.content) for piece in pieces] == AWKWARD
        assert all(content[piece.offset : piece.offset + piece.size] == piece.content for piece in pieces)


@given(cut=st.integers(min_value=1), chunk_bytes=st.integers(min_value=1, max_value=40))
def test_a_file_that_is_cut_off_ends_in_a_piece_of_a_report(cut: int, chunk_bytes: int) -> None:
    content = json.dumps({"meta": {}, "results": AWKWARD}).encode()
    content = content[: cut % len(content)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openfda_files, "_CHUNK_BYTES", chunk_bytes)
        pieces = list(split_results(io.BytesIO(content), LIMIT))
    whole = pieces[:-1]
    assert [json.loads(piece.content) for piece in whole] == AWKWARD[: len(whole)]
    assert all(content[piece.offset : piece.offset + piece.size] == piece.content for piece in pieces)


@pytest.mark.parametrize("chunk_bytes", [1, 2, 3, 7, LIMIT])
def test_what_is_no_object_in_the_array_is_a_piece_of_its_own(
    monkeypatch: pytest.MonkeyPatch, chunk_bytes: int
) -> None:
    monkeypatch.setattr(openfda_files, "_CHUNK_BYTES", chunk_bytes)
    content = b'{"results": [ 12 , {"a": 1}, "x]\\"",{"b": 2}, [{"c": 3}] , null\n], "z": [4]}'
    pieces = list(split_results(io.BytesIO(content), LIMIT))
    assert [piece.content for piece in pieces] == [
        *(b"12", b'{"a": 1}', b'"x]\\""', b'{"b": 2}', b'[{"c": 3}]', b"null"),
    ]
    assert all(content[piece.offset : piece.offset + piece.size] == piece.content for piece in pieces)
    assert [piece.size for piece in split_results(io.BytesIO(content), 1)] == [
        len(piece.content) for piece in pieces
    ]


@given(content=st.text(st.sampled_from('{}[]"\\,:resulta1 é'), max_size=60), chunk_bytes=st.integers(1, 9))
def test_no_bytes_raise(content: str, chunk_bytes: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openfda_files, "_CHUNK_BYTES", chunk_bytes)
        in_pieces = list(split_results(io.BytesIO(content.encode()), LIMIT))
    assert in_pieces == list(split_results(io.BytesIO(content.encode()), LIMIT))


def test_a_report_is_kept_only_up_to_the_limit() -> None:
    content = json.dumps({"results": AWKWARD}).encode()
    pieces = list(split_results(io.BytesIO(content), 5))
    assert [piece.size for piece in pieces] == [len(json.dumps(report)) for report in AWKWARD]
    assert all(len(piece.content) <= 5 for piece in pieces)


@pytest.mark.parametrize(
    ("content", "rejected"),
    [
        (b'{"meta": {}, "results": []}', {"empty": 1}),
        (b'[]{"safetyreportid": "1"}', {"malformed_json": 1}),
        (b'{"meta": {}, "results": {"safetyreportid": "1"}}', {"invalid_resource": 1}),
        (b'{"meta": {}, "results": {"1": {"safetyreportid": "1", "patient": {}}}}', {"invalid_resource": 1}),
        (b'{"meta": {}, "results": "safetyreportid"}', {"invalid_resource": 1}),
        (b'{"meta": {}, "results": null}', {"invalid_resource": 1}),
        (b'{"meta": {}, "results": ["safetyreportid"]}', {"invalid_resource": 1}),
        (b'{"meta": {}, "results": [null, [{"safetyreportid": "1"}]]}', {"invalid_resource": 2}),
        (b'{"meta": {}, "results": [1, "2"]}', {"malformed_json": 1}),
        (b'{"meta": {}, "results"', {"malformed_json": 1}),
        (b'["safetyreportid"]', {"invalid_resource": 1}),
        (b'{"meta": {}, "results": [{"safetyreportid": "1"', {"malformed_json": 1}),
        (b'{"meta": {}, "results": [{"brand_name": "X"}]}', {"incomplete_report": 1}),
        (VERSIONS.splitlines()[0] + b"\n{", {"malformed_json": 1, "no_received_at": 1}),
    ],
)
def test_what_is_no_report_is_refused_with_a_reason(
    intake: Intake, tmp_path: Path, content: bytes, rejected: dict[str, int]
) -> None:
    feed = Feed(intake, RejectStore(tmp_path / "rejects"), LIMIT)
    assert list(feed.read([_written(tmp_path, "in.json", content)])) == []
    assert feed.report.rejected == rejected
