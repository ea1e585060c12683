"""The watch takes an offset that a broker does not tell for a moment for no answer."""

from typing import Any

from kafka import TopicPartition

from tests.chaos.watch import Watch


class Broker:
    """Tell the offsets of the next answer at each asking."""

    def __init__(self, *answers: dict[int, int | None]) -> None:
        self._answers = list(answers)
        self._asked = 0

    def committed(self, partition: TopicPartition, **_options: Any) -> int | None:
        answer = self._answers[self._asked // 2]
        self._asked += 1
        return answer[partition.partition]


def watching(*answers: dict[int, int | None]) -> Watch:
    return Watch("nowhere:1", "group", "events", 2, _consumer=Broker(*answers))


def test_an_offset_that_is_not_told_is_asked_for_again() -> None:
    watch = watching({0: None, 1: 9}, {0: None, 1: None}, {0: 2, 1: 9})
    assert [watch.committed() for _ in range(3)] == [{0: 0, 1: 9}, None, {0: 2, 1: 9}]
    assert watch.missing == 1
