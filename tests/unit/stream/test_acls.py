"""The table of rights: what the document shows, and names that no role shares by accident."""

import json
from pathlib import Path

import pytest

from pv_stream.errors import UsageError
from pv_stream.settings import Settings
from pv_stream.stream.acls import (
    TOPIC_RIGHTS,
    WORK,
    Operation,
    Resource,
    Role,
    consumer_group_prefix,
    grants,
    listener_prefix,
    table,
)
from pv_stream.stream.topics import OF_WORKERS, Topic
from tests.unit.cli.calling import pv_stream

DOCUMENT = Path(__file__).parents[3] / "docs" / "security.md"


def rows_after(heading: str) -> list[list[str]]:
    """Return the cells of the Markdown table that follows a line."""
    _, _, after = DOCUMENT.read_text().partition(f"{heading}\n|---")
    lines = after.partition("\n\n")[0].splitlines()[1:]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines]


def test_the_document_shows_the_table() -> None:
    shown = rows_after("| role | resource | name | may |")
    assert shown == [[row.role, row.resource, row.name, row.operations] for row in table(grants(Settings()))]


def test_the_document_says_what_each_role_is_for() -> None:
    shown = dict(rows_after("| role | for |"))
    assert {role: words.strip("`") for role, words in WORK.items()} == shown


def test_only_workers_write_what_is_told_and_what_is_known() -> None:
    for topic in set(Topic) - {Topic.EVENTS}:
        writers = {role for role, rights in TOPIC_RIGHTS.items() if Operation.WRITE in rights.get(topic, ())}
        assert writers == ({Role.INGEST} if topic is Topic.REJECTS else {Role.WORKER}), topic


def test_a_worker_asks_at_its_start_for_the_topics_that_it_may_see_and_for_no_others() -> None:
    assert set(OF_WORKERS) == set(TOPIC_RIGHTS[Role.WORKER])


def test_an_auditor_writes_nothing_and_a_consumer_sees_no_input() -> None:
    assert {each for rights in TOPIC_RIGHTS[Role.AUDITOR].values() for each in rights} == {Operation.READ}
    assert not {Topic.EVENTS, Topic.STATE, Topic.DEAD_LETTERS} & TOPIC_RIGHTS[Role.CONSUMER].keys()


@pytest.mark.parametrize("prefix", ["", "ward7."])
def test_no_listener_has_the_name_of_a_shard_and_no_consumer_that_of_the_workers(prefix: str) -> None:
    settings = Settings(topic_prefix=prefix, partitions=12)
    names = [
        each.name
        for each in grants(settings)
        if each.role is Role.WORKER and each.resource is Resource.TRANSACTIONAL_ID
    ]
    assert len(names) == 12
    assert not any(name.startswith(listener_prefix(settings)) for name in names)
    assert not settings.group_id.startswith(consumer_group_prefix(settings))


def test_the_command_shows_the_table_and_who_has_a_role() -> None:
    done = pv_stream("topics", "acls", "--json", "--principal", "worker=pv-1", "--principal", "worker=pv-2")
    rows = json.loads(done.stdout)
    assert [(row["role"], row["name"], ", ".join(row["operations"])) for row in rows] == [
        (row.role, row.name, row.operations) for row in table(grants(Settings()))
    ]
    assert {tuple(row["users"]) for row in rows if row["role"] == "worker"} == {("pv-1", "pv-2")}
    assert {tuple(row["users"]) for row in rows if row["role"] == "auditor"} == {("auditor",)}


def test_a_role_that_there_is_not_is_refused() -> None:
    done = pv_stream("topics", "acls", "--principal", "nurse=a")
    assert done.returncode == UsageError.exit_code
    assert "--principal nurse=a: say ROLE=USER" in done.stderr
