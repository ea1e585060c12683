"""Whatever is done to a log after it was written is found, or it is said why it cannot be."""

from pathlib import Path

import pytest

from pv_stream.audit.archive.segments import ArchivedRecord
from pv_stream.audit.tamper.entries import COVERED, TREE_HEADS, open_ledgers
from pv_stream.errors import DataError
from pv_stream.ledger.chain import INDEX_HEADER, LINK_HEADER, Ledger, entry_hash, extended
from tests.unit.audit.tamper.written import (
    ACTIONS,
    ALERTS,
    ANOTHER_KEY,
    KEY,
    LETTERS,
    SHARDS,
    Written,
    kinds,
    only,
    some_written,
)

EVERY_RECORD = [
    (topic, place) for topic, count in zip(COVERED, (6, 1, 1, 2), strict=True) for place in range(count)
]


def flipped(content: bytes | None) -> bytes:
    assert content is not None
    return bytes([content[0] ^ 1]) + content[1:]


def relinked(written: Written, shard: int) -> None:
    """Number and link all that a shard holds anew, as whoever can write the topics could."""
    places = sorted(
        (int(dict(record.headers)[INDEX_HEADER] or b""), topic, place)
        for topic in COVERED
        for place, record in enumerate(written.records[topic, shard])
    )
    ledger = Ledger()
    for _, topic, place in places:
        record = written.records[topic, shard][place]
        headers = tuple(
            (name, content) for name, content in record.headers if not name.startswith("pv_ledger")
        )
        done = extended(ledger, [entry_hash(topic, shard, record.key, record.value, headers)])
        written.change(topic, shard, place, headers=(*headers, *done.headers[0]))
        ledger = done.ledger
    written.ledgers[shard] = ledger


@pytest.mark.parametrize("shard", range(SHARDS))
def test_what_nobody_touched_is_whole(shard: int, tmp_path: Path) -> None:
    found = some_written().check(tmp_path, shard)
    count = (10, 3)[shard]
    assert (found.records, found.covered, found.signed, found.findings) == (count, count, count, [])


@pytest.mark.parametrize(("topic", "place"), EVERY_RECORD)
@pytest.mark.parametrize("part", ["key", "value"])
def test_a_flipped_bit_is_found_in_the_record_where_it_is(
    topic: str, place: int, part: str, tmp_path: Path
) -> None:
    written = some_written()
    record = written.records[topic, 0][place]
    written.change(topic, 0, place, **{part: flipped(getattr(record, part))})
    finding = only(written.check(tmp_path))
    assert finding.kind == "altered"
    assert f"{topic}, shard 0, position {record.position}" in finding.says


def test_a_changed_header_is_found(tmp_path: Path) -> None:
    written = some_written()
    headers = written.records[ALERTS, 0][1].headers
    written.change(ALERTS, 0, 1, headers=(("ce_id", b"0-77-0"), *headers[1:]))
    assert kinds(written.check(tmp_path)) == ["altered"]


@pytest.mark.parametrize(("topic", "place"), EVERY_RECORD)
def test_a_dropped_record_is_found(topic: str, place: int, tmp_path: Path) -> None:
    written = some_written()
    del written.records[topic, 0][place]
    found = written.check(tmp_path)
    expected = "truncated" if (topic, place) == (LETTERS, 1) else "missing"  # the last of all
    assert kinds(found) == [expected]


def test_a_dropped_end_is_found_by_the_heads_that_know_it(tmp_path: Path) -> None:
    written = some_written()
    for topic, count in ((ALERTS, 3), (LETTERS, 1)):
        del written.records[topic, 0][-count:]
    finding = only(written.check(tmp_path))
    assert finding.kind == "truncated"
    assert "knows 10 records and 6 are there" in finding.says


def test_two_records_that_were_swapped_are_found(tmp_path: Path) -> None:
    written = some_written()
    first, second = written.records[ALERTS, 0][:2]
    written.change(ALERTS, 0, 0, key=second.key, value=second.value, headers=second.headers)
    written.change(ALERTS, 0, 1, key=first.key, value=first.value, headers=first.headers)
    assert sorted(kinds(written.check(tmp_path))) == ["missing", "out of order"]


def test_two_records_whose_contents_were_swapped_are_found(tmp_path: Path) -> None:
    written = some_written()
    first, second = written.records[ALERTS, 0][:2]
    written.change(ALERTS, 0, 0, key=second.key, value=second.value)
    written.change(ALERTS, 0, 1, key=first.key, value=first.value)
    assert kinds(written.check(tmp_path)) == ["altered", "altered"]


def test_a_record_of_another_shard_or_topic_is_found(tmp_path: Path) -> None:
    written = some_written()
    of_shard_1, letter = written.records[ALERTS, 1][0], written.records[LETTERS, 0][0]
    written.change(ALERTS, 0, 0, key=of_shard_1.key, value=of_shard_1.value, headers=of_shard_1.headers)
    written.change(ALERTS, 0, 1, key=letter.key, value=letter.value)
    assert kinds(written.check(tmp_path)) == ["altered", "altered"]


def test_a_record_that_was_written_twice_is_found(tmp_path: Path) -> None:
    written = some_written()
    record = written.records[ALERTS, 0][-1]
    written.append(ALERTS, 0, record.key, record.value, record.headers)
    written.append(ACTIONS, 0, record.key, record.value, record.headers)
    assert kinds(written.check(tmp_path)) == ["doubled", "doubled"]


def test_a_forged_record_without_a_place_is_found(tmp_path: Path) -> None:
    written = some_written()
    written.append(ALERTS, 0, b"al_7", b"{}", (("ce_id", b"0-99-0"),))
    written.append(ALERTS, 0, b"al_7", b"{}", ((INDEX_HEADER, b"x"), (LINK_HEADER, b"00")))
    assert kinds(written.check(tmp_path)) == ["foreign", "foreign"]


@pytest.mark.parametrize(("topic", "place"), EVERY_RECORD)
def test_links_made_anew_do_not_hide_a_change_from_a_signed_head(
    topic: str, place: int, tmp_path: Path
) -> None:
    written = some_written()
    written.change(topic, 0, place, value=b'{"tier":"info"}')
    relinked(written, 0)
    finding = only(written.check(tmp_path))
    assert finding.kind == "rewritten"


def test_a_record_dropped_with_links_made_anew_is_found(tmp_path: Path) -> None:
    written = some_written()
    del written.records[ALERTS, 0][1]
    relinked(written, 0)
    assert kinds(written.check(tmp_path)) == ["rewritten", "truncated"]


@pytest.mark.parametrize("key", [ANOTHER_KEY, None])
def test_heads_made_anew_are_not_signed_by_the_key(key: object, tmp_path: Path) -> None:
    written = some_written(key=ANOTHER_KEY if key is ANOTHER_KEY else None)
    found = written.check(tmp_path)
    assert set(kinds(found)) == {"bad signature"}
    assert len(found.findings) == found.heads == 4
    assert (found.covered, found.signed) == (0, 0)


def test_a_signature_is_of_one_text(tmp_path: Path) -> None:
    written = some_written()
    record = written.records[TREE_HEADS, 0][3]
    assert record.value is not None
    written.change(TREE_HEADS, 0, 3, value=record.value.replace(b'"size":10', b'"size":9'))
    assert kinds(written.check(tmp_path)) == ["bad signature"]


def test_without_keys_nothing_is_said_to_be_signed(tmp_path: Path) -> None:
    found = some_written(key=None).check(tmp_path, keys=())
    assert (found.covered, found.signed, found.findings) == (10, 0, [])


def test_a_cut_with_its_heads_is_only_known_elsewhere(tmp_path: Path) -> None:
    """What only an external head reveals: the log that is left is a true beginning."""
    written = some_written()
    kept = written.head_of(0)
    for topic, count in ((ALERTS, 3), (LETTERS, 1), (TREE_HEADS, 1)):
        del written.records[topic, 0][-count:]
    assert written.check(tmp_path / "alone").findings == []
    finding = only(written.check(tmp_path / "beside", elsewhere=(kept,)))
    assert finding.kind == "truncated"
    assert finding.says.startswith("the second place knows 10 records and 6 are there")


def test_a_fork_with_the_key_is_only_known_elsewhere(tmp_path: Path) -> None:
    """Whoever has the key can tell two stories; the one that was kept elsewhere is the other one."""
    kept = some_written().head_of(0)
    fork = Written()
    fork.transaction(0, *((ALERTS, f"al_{number}") for number in range(12)))
    assert fork.check(tmp_path / "alone").findings == []
    assert kinds(fork.check(tmp_path / "beside", elsewhere=(kept,))) == ["rewritten"]


def test_a_head_elsewhere_must_be_signed_and_of_this_log(tmp_path: Path) -> None:
    written = some_written()
    unsigned, of_shard_1 = written.head_of(0, None), written.head_of(1)
    found = written.check(tmp_path, elsewhere=(unsigned, of_shard_1))
    assert kinds(found) == ["bad signature", "bad tree head"]


@pytest.mark.parametrize("value", [b"", b"{}", b"[]", b'{"schema_version":2}', None])
def test_a_head_that_cannot_be_read_is_found(value: bytes | None, tmp_path: Path) -> None:
    written = some_written()
    written.append(TREE_HEADS, 0, None, value, ())
    assert kinds(written.check(tmp_path)) == ["bad tree head"]


def test_heads_of_another_shard_or_going_back_are_found(tmp_path: Path) -> None:
    written = some_written()
    written.append(TREE_HEADS, 0, None, written.head_of(1).to_bytes(), ())
    written.append(TREE_HEADS, 0, None, written.records[TREE_HEADS, 0][0].value, ())
    assert kinds(written.check(tmp_path)) == ["bad tree head", "bad tree head"]


def test_records_from_before_the_ledger_are_counted(tmp_path: Path) -> None:
    written = Written()
    written.append(ALERTS, 0, b"al_0", b"{}", (("ce_id", b"0-1-0"),))
    written.transaction(0, (ALERTS, "al_1"))
    found = written.check(tmp_path)
    assert (found.earlier, found.records, found.findings) == (1, 1, [])


def test_topics_that_an_archive_ends_at_different_places_are_no_finding(tmp_path: Path) -> None:
    """Heads are archived first: what is behind the last of them may be there in one topic and not in another."""
    written = some_written()
    written.transaction(0, (ALERTS, "al_5"), (LETTERS, "dl_3"), (ALERTS, "al_6"), head=False)
    del written.records[LETTERS, 0][-1]
    found = written.check(tmp_path)
    assert (found.records, found.covered, found.unproved, found.findings) == (11, 10, 2, [])


def test_what_was_made_anew_behind_heads_that_were_taken_away_is_not_called_proved(tmp_path: Path) -> None:
    """Without the heads nothing tells it from what a worker wrote; so it is counted apart."""
    written = some_written()
    kept = written.head_of(0)
    del written.records[TREE_HEADS, 0][1:]
    written.change(ALERTS, 0, -1, value=b'{"tier":"info"}')
    relinked(written, 0)
    found = written.check(tmp_path / "alone")
    assert (found.covered, found.signed, found.unproved, found.findings) == (3, 3, 7, [])
    assert kinds(written.check(tmp_path / "beside", elsewhere=(kept,))) == ["rewritten"]


def test_a_log_without_ledgers_is_said_to_have_none(tmp_path: Path) -> None:
    folder = some_written().archive(tmp_path)
    (folder / f"t1.{TREE_HEADS}" / "manifest.json").unlink()
    with pytest.raises(DataError, match=r"lacks pv\.tree-heads\.v1"):
        open_ledgers(folder)


def test_an_entry_is_what_its_record_says_and_nothing_else() -> None:
    """No two records are one entry: parts are counted, and nothing is not the empty text."""
    entries = [
        entry_hash(ALERTS, 0, b"ab", b"c", ()),
        entry_hash(ALERTS, 0, b"a", b"bc", ()),
        entry_hash(ALERTS, 0, None, b"bc", ()),
        entry_hash(ALERTS, 0, b"", b"bc", ()),
        entry_hash(ALERTS, 0, b"a", b"bc", (("h", None),)),
        entry_hash(ALERTS, 0, b"a", b"bc", (("h", b""),)),
        entry_hash(ALERTS, 1, b"a", b"bc", ()),
        entry_hash(ACTIONS, 0, b"a", b"bc", ()),
    ]
    assert len(set(entries)) == len(entries)
    places = ((INDEX_HEADER, b"1"), (LINK_HEADER, b"00"))
    assert entry_hash(ALERTS, 0, b"a", b"bc", places) == entries[1]


def test_the_same_ledger_has_the_same_head() -> None:
    """Ed25519 draws no random numbers: a repeated transaction writes the same bytes."""
    assert some_written().head_of(0, KEY).to_bytes() == some_written().head_of(0, KEY).to_bytes()


def test_the_time_stamp_of_kafka_is_not_covered(tmp_path: Path) -> None:
    """It is the broker's word, not the worker's; docs/audit.md says so."""
    written = some_written()
    record: ArchivedRecord = written.records[ALERTS, 0][0]
    written.change(ALERTS, 0, 0, timestamp_ms=record.timestamp_ms + 1)
    assert written.check(tmp_path).findings == []
