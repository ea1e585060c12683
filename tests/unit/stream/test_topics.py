"""The table of topics, and what differs from it."""

import pytest

from pv_stream.errors import UsageError
from pv_stream.settings import Settings
from pv_stream.stream.topics import Action, Topic, compare, refuse_partition_change, topic_configs, topic_name

SETTINGS = Settings(partitions=4)


def test_only_cases_and_state_are_compacted() -> None:
    compacted = {each for each in Topic if topic_configs(each, SETTINGS)["cleanup.policy"] == "compact"}
    assert compacted == {Topic.CASES, Topic.STATE}


@pytest.mark.parametrize("topic", Topic)
def test_nothing_is_deleted_by_age_or_size(topic: Topic) -> None:
    configs = topic_configs(topic, SETTINGS)
    assert configs["retention.ms"] == "-1"
    assert configs["retention.bytes"] == "-1"


@pytest.mark.parametrize("topic", Topic)
def test_a_record_of_the_largest_size_fits(topic: Topic) -> None:
    assert int(topic_configs(topic, SETTINGS)["max.message.bytes"]) > SETTINGS.record_bytes_max


def test_a_prefix_is_put_before_every_name() -> None:
    assert topic_name(Topic.STATE, Settings(topic_prefix="ward.")) == "ward.pv.state.v1"


def test_a_topic_as_wanted_is_ok() -> None:
    configs = topic_configs(Topic.STATE, SETTINGS)
    (row,) = compare(Topic.STATE, SETTINGS, partitions=4, replication=1, configs=configs)
    assert row.action is Action.OK


def test_a_missing_topic_is_created() -> None:
    (row,) = compare(Topic.STATE, SETTINGS, partitions=None, replication=None, configs={})
    assert row.action is Action.CREATE


def test_a_setting_that_differs_is_set() -> None:
    configs = topic_configs(Topic.STATE, SETTINGS) | {"cleanup.policy": "delete"}
    (row,) = compare(Topic.STATE, SETTINGS, partitions=4, replication=1, configs=configs)
    assert (row.action, row.setting, row.has, row.wanted) == (
        Action.SET,
        "cleanup.policy",
        "delete",
        "compact",
    )


def test_another_replication_is_left_to_a_person() -> None:
    configs = topic_configs(Topic.STATE, SETTINGS)
    (row,) = compare(Topic.STATE, SETTINGS, partitions=4, replication=3, configs=configs)
    assert row.action is Action.BY_HAND


def test_another_partition_count_is_refused() -> None:
    configs = topic_configs(Topic.STATE, SETTINGS)
    rows = compare(Topic.STATE, SETTINGS, partitions=8, replication=1, configs=configs)
    with pytest.raises(UsageError, match="has 8 partitions and the settings say 4"):
        refuse_partition_change(rows)
