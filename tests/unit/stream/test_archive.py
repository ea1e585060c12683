"""The lines of an archive hold the exact bytes of a record."""

import base64
import json

import pytest

from pv_stream.stream.archive import envelope, header


def test_text_stands_as_it_is() -> None:
    assert (
        envelope(2, 7, b"p1", "Blödes µ".encode()) == '{"shard":2,"position":7,"key":"p1","value":"Blödes µ"}'
    )


def test_what_is_not_text_stands_as_base64() -> None:
    fields = json.loads(envelope(0, 0, b"\xff", b"\x00\xfe"))
    assert base64.b64decode(fields["key_base64"]) == b"\xff"
    assert base64.b64decode(fields["value_base64"]) == b"\x00\xfe"


def test_a_missing_key_or_value_is_null() -> None:
    assert json.loads(envelope(0, 0, None, None)) == {"shard": 0, "position": 0, "key": None, "value": None}


@pytest.mark.parametrize(
    "value",
    [b'{"a":"\\u00e9"}', b"line\nbreak", "\u2028".encode(), b"\x00"],
    ids=["json", "break", "u2028", "nul"],
)
def test_a_record_is_one_line_and_comes_back_byte_for_byte(value: bytes) -> None:
    line = envelope(0, 0, b"k", value)
    assert "\n" not in line
    assert json.loads(line)["value"].encode() == value


def test_the_first_line_names_format_topic_and_partitions() -> None:
    assert json.loads(header("pv.clinical.events.v1", 4)) == {
        "archive": 1,
        "topic": "pv.clinical.events.v1",
        "partitions": 4,
    }
