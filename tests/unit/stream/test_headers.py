"""Headers of outputs: the same in every attempt, and a pointer for dead letters."""

import pytest

from pv_stream.shard.fold import OutputStream, OutRecord
from pv_stream.stream.headers import EVENT_TYPE_OF_STREAM, TOPIC_OF_STREAM, output_headers

ALERT = OutRecord(OutputStream.ALERTS, b"p1", b"{}", 17, 2)


def test_an_output_has_the_attributes_of_a_cloud_event() -> None:
    assert dict(output_headers(ALERT, source_topic="pv.clinical.events.v1", shard=3)) == {
        "ce_specversion": b"1.0",
        "ce_type": b"pv.dress.alert.v1",
        "ce_source": b"/pv.clinical.events.v1/3",
        "ce_id": b"3-17-2",
        "content-type": b"application/json",
    }


def test_a_dead_letter_names_its_input() -> None:
    letter = OutRecord(OutputStream.DEAD_LETTERS, b"p1", b"{}", 17, 0)
    headers = dict(output_headers(letter, source_topic="pv.clinical.events.v1", shard=3))
    assert headers["__streams.errors.topic"] == b"pv.clinical.events.v1"
    assert headers["__streams.errors.partition"] == b"3"
    assert headers["__streams.errors.offset"] == b"17"


@pytest.mark.parametrize("stream", OutputStream)
def test_every_stream_has_a_topic_and_a_type(stream: OutputStream) -> None:
    assert stream in TOPIC_OF_STREAM
    assert stream in EVENT_TYPE_OF_STREAM
