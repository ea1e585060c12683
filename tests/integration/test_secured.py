"""On a broker that asks for TLS, a login and rights: each role does its work, and nothing else.

One broker for all tests, with a user for each role; the rights are those that `topics acls --give` gives.
"""

import asyncio
import json
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.group import HeartbeatRequest
from aiokafka.protocol.transaction import AddOffsetsToTxnRequest

from pv_stream.errors import ConnectionFailed, EnvironmentBroken
from pv_stream.settings import Settings
from pv_stream.stream import acls, topics
from pv_stream.stream.acls import TOPIC_RIGHTS, Operation, Role
from pv_stream.stream.connection import client_options, require_broker
from pv_stream.stream.consumer import read_alerts
from pv_stream.stream.durable_writer import DurableWriter
from pv_stream.stream.event_log import EventLog
from pv_stream.stream.login import NotLetIn
from pv_stream.stream.publish import publish
from pv_stream.stream.reading import TopicReader
from pv_stream.stream.topics import Topic, topic_name
from tests.integration.cluster import ROOT, Cluster, eventually
from tests.integration.secured_broker import PREFIX, SHA_256_USER, SecuredBroker, password_of, secured_broker
from tests.integration.test_commands import call
from tests.integration.test_live_equals_replay import RUN

#: Topics that get what no worker could read.
TRIED = "tried."
TOPIC_DENIED = TopicAuthorizationFailedError.errno
GROUP_DENIED = GroupAuthorizationFailedError.errno
ID_DENIED = TransactionalIdAuthorizationFailed.errno
NOBODYS_PRODUCER = 2**60


@pytest.fixture(scope="module")
def secured(bootstrap_servers: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredBroker]:
    """Give the secured broker, with rights given and topics made by the operator."""
    missing = [program for program in ("java", "mvn") if shutil.which(program) is None]
    if missing:
        pytest.skip(f"a secured broker needs {' and '.join(missing)}; this run uses {bootstrap_servers}")
    made = secured_broker(tmp_path_factory.mktemp("secured") / "broker")
    made.broker.up()
    try:
        for prefix in (PREFIX, TRIED):
            acls.give(made.unguarded(prefix), {role: [role.value] for role in Role})
            operator = made.settings(Role.OPERATOR, topic_prefix=prefix)
            # A broker answers before it goes by the rights that it was given; the operator's are the last.
            eventually(partial(_topics_are_made, operator), what="the rights are in force")
        yield made
    finally:
        made.broker.down()


def _topics_are_made(settings: Settings) -> bool:
    try:
        topics.apply(settings)
    except ConnectionFailed:
        return False
    return True


#: Changes of what is right, and what is said of them: what is wrong, and which setting mends it.
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "password": (
        {"sasl_password": "guess"},
        "refuses the login of worker by SCRAM-SHA-512: check PV_STREAM_SASL",
    ),
    "mechanism": ({"sasl_username": SHA_256_USER}, f"refuses the login of {SHA_256_USER} by SCRAM-SHA-512"),
    "authority": (
        {"ssl_cafile": None},
        "not trusted .*: name the authority that signed it in PV_STREAM_SSL_CAFILE",
    ),
    "plain": (
        {"security_protocol": None, "ssl_cafile": None, "sasl_username": None, "sasl_password": None},
        "speaks TLS: set PV_STREAM_SECURITY_PROTOCOL to SASL_SSL",
    ),
    "no-tls": (
        {"security_protocol": "SASL_PLAINTEXT", "ssl_cafile": None},
        "speaks TLS: set PV_STREAM_SECURITY",
    ),
    "no-login": (
        {"security_protocol": "SSL", "sasl_username": None, "sasl_password": None},
        "asks for a login: set PV_STREAM_SECURITY_PROTOCOL to SASL_SSL",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_who_is_not_let_in_is_told_why_in_one_line(secured: SecuredBroker, wrong: str) -> None:
    changes, said = WRONG[wrong]
    with pytest.raises(NotLetIn, match=said) as refused:
        require_broker(secured.settings(**({"role": "worker"} | changes)))
    assert len(str(refused.value).splitlines()) == 1


def test_a_port_with_other_security_is_named(secured: SecuredBroker) -> None:
    """Another name than the certificate's, TLS to a plain port, a login where none is asked, no certificate of ours."""
    worker = secured.settings

    def told(settings: Settings) -> str:
        with pytest.raises(NotLetIn) as refused:
            require_broker(settings)
        return str(refused.value)

    assert "as its certificate does" in told(
        worker("worker", bootstrap_servers=f"localhost:{secured.secured}")
    )
    plain = f"127.0.0.1:{secured.broker.port}"
    assert "name a port that speaks TLS" in told(worker("worker", bootstrap_servers=plain))
    no_tls = {"security_protocol": "SASL_PLAINTEXT", "ssl_cafile": None}
    assert "asks for no login" in told(worker("worker", bootstrap_servers=plain, **no_tls))
    mutual: dict[str, Any] = {
        "bootstrap_servers": f"127.0.0.1:{secured.mutual}",
        "security_protocol": "SSL",
        "sasl_username": None,
        "sasl_password": None,
    }
    assert "set PV_STREAM_SSL_CERTFILE and PV_STREAM_SSL_KEYFILE" in told(worker("worker", **mutual))
    own = {"ssl_certfile": secured.folder / "client.pem", "ssl_keyfile": secured.folder / "client.key"}
    require_broker(worker("worker", **mutual, **own))


def test_each_way_to_log_in_works(secured: SecuredBroker) -> None:
    """With SCRAM-SHA-256 too, and with a login but without TLS."""
    require_broker(secured.settings(SHA_256_USER, sasl_mechanism="SCRAM-SHA-256"))
    login = {"bootstrap_servers": f"127.0.0.1:{secured.login}", "security_protocol": "SASL_PLAINTEXT"}
    require_broker(secured.settings("worker", **login, ssl_cafile=None))


def test_a_command_with_a_wrong_password_ends_with_one_line(secured: SecuredBroker) -> None:
    done = call("run", **(secured.environment("worker") | {"PV_STREAM_SASL_PASSWORD": "guess"}))
    assert done.returncode == ConnectionFailed.exit_code
    (line,) = done.stderr.splitlines()
    assert "refuses the login of worker" in line
    assert "guess" not in line


def test_a_worker_that_may_not_join_its_group_ends_at_once_with_one_line(secured: SecuredBroker) -> None:
    """Everything else it may: the topics, the transactions. Without a line it would stand until the watchdog."""
    done = call("run", **secured.environment(Role.WORKER, PV_STREAM_GROUP_ID="strangers"))
    assert done.returncode == ConnectionFailed.exit_code
    said = [line for line in done.stderr.splitlines() if " starts: " not in line]
    assert len(said) == 1, done.stderr
    assert "refuses this to the user" in said[0]
    assert "group strangers" in said[0]
    assert "topics acls" in said[0]


def test_each_role_does_its_work(secured: SecuredBroker, tmp_path: Path) -> None:
    """From a file to an alert, the worklist and the archive, each with the rights of its own role only."""

    def succeed(role: Role, *arguments: str) -> str:
        done = call(*arguments, **secured.environment(role))
        assert done.returncode == 0, f"{arguments[0]}: {done.stderr}"
        return done.stdout

    cluster = Cluster(f"127.0.0.1:{secured.broker.port}", prefix="unused.", directory=tmp_path)
    password = tmp_path / "password"
    password.write_text(f"{password_of(Role.WORKER)}\n")
    password_in_file = {"PV_STREAM_SASL_PASSWORD_FILE": str(password)}
    environment = secured.environment(Role.WORKER, PV_STREAM_GROUP_ID="pv-stream") | password_in_file
    del environment["PV_STREAM_SASL_PASSWORD"]
    worker = cluster.start_worker(environment, command=RUN)
    try:
        succeed(Role.OPERATOR, "rules", "activate", "2026.11", "--to", "kafka")
        succeed(Role.INGEST, "ingest", str(ROOT / "examples" / "allopurinol.events.jsonl"), "--to", "kafka")
        eventually(
            lambda: "owns shards" in worker.said() or worker.process.poll(), what="the worker is let in"
        )
        consumer = secured.settings(Role.CONSUMER)
        eventually(lambda: list(read_alerts(consumer, follow=False)), what="an alert is out")
        succeed(Role.CONSUMER, "worklist")
        examined = call("doctor", "--json", **secured.environment(Role.OPERATOR))
        assert examined.returncode in {0, 1}, examined.stderr  # what a test's broker lacks is a finding
        unknown = [row for row in json.loads(examined.stdout) if row["outcome"] == "unknown"]
        assert not unknown, "the operator may not look at this"
        assert worker.stop() == 0, worker.said()
    finally:
        cluster.kill_workers()
    succeed(Role.AUDITOR, "archive", "--out", str(tmp_path / "log.jsonl"))
    assert b"allopurinol" in (tmp_path / "log.jsonl").read_bytes()


def test_a_listener_writes_durably_and_settles(secured: SecuredBroker) -> None:
    """It may also read what it wrote: an unknown commit is settled so."""
    settings = secured.settings(Role.INGEST, topic_prefix=TRIED)

    async def write() -> bool:
        async with DurableWriter(settings, name="test") as writer:
            await writer.write([(b"patient-1", b"{}")])
        log = EventLog(settings, transactional_id=f"{acls.listener_prefix(settings)}test")
        await log.open()
        prepared = await log.prepare([(b"patient-1", b"{}")])
        await log.commit()
        was_held = await log.holds(prepared)
        await log.close()
        return was_held

    assert asyncio.run(write())


@pytest.mark.parametrize("role", list(Role))
def test_a_role_reads_and_writes_what_the_table_says_and_no_more(secured: SecuredBroker, role: Role) -> None:
    """Every topic is tried, to read and to write."""
    settings = secured.settings(role, topic_prefix=TRIED)
    rights = TOPIC_RIGHTS[role]
    assert asyncio.run(_writable(settings)) == {
        topic for topic in Topic if Operation.WRITE in rights.get(topic, ())
    }
    assert asyncio.run(_readable(settings)) == {
        topic for topic in Topic if Operation.READ in rights.get(topic, ())
    }


#: What a transactional id ends with, behind group and topic, and who may write under it: `docs/security.md`.
MAY_WRITE_UNDER: dict[str, Role | None] = {
    "-0": Role.WORKER,
    "-1": Role.WORKER,
    "-2": None,  # there are two shards
    "-10": None,
    "-listener-mllp": Role.INGEST,
    "-listener-": Role.INGEST,
    "-listener": None,
    "-activate": Role.OPERATOR,
    "-activate-1": None,
    "": None,
}
#: And of groups, behind that of the workers.
MAY_READ_IN: dict[str, Role | None] = {
    "": Role.WORKER,
    "-consumer-worklist": Role.CONSUMER,
    "-consumer-": Role.CONSUMER,
    "-consumer": None,
    "-other": None,
}


@pytest.mark.parametrize("role", list(Role))
def test_a_role_has_its_own_transactional_ids_and_groups_and_no_other(
    secured: SecuredBroker, role: Role
) -> None:
    """Every pair is tried with a producer that nobody has, so that a right alone decides and nothing is changed."""
    settings = secured.settings(role)
    events = f"{settings.group_id}-{topic_name(Topic.EVENTS, settings)}"
    ids = {f"{events}{ending}": owner for ending, owner in MAY_WRITE_UNDER.items()}
    ids["somebody-elses"] = None
    groups = {f"{settings.group_id}{ending}": owner for ending, owner in MAY_READ_IN.items()}
    groups["somebody-elses"] = None
    in_transaction, alone = asyncio.run(_refusals(settings, list(ids), list(groups)))
    assert alone == {group: owner is not role for group, owner in groups.items()}
    assert in_transaction == {
        (name, group): ID_DENIED
        if ids[name] is not role
        else GROUP_DENIED
        if groups[group] is not role
        else None
        for name in ids
        for group in groups
    }


def test_a_role_does_not_take_the_place_of_another(secured: SecuredBroker) -> None:
    """Ingest cannot fence a shard, a consumer cannot move the workers' offsets, and only the operator makes topics."""
    group = Settings().group_id
    shard = f"{group}-{topic_name(Topic.EVENTS, secured.unguarded(PREFIX))}-0"

    async def fence() -> None:
        producer = AIOKafkaProducer(
            **client_options(secured.settings(Role.INGEST)), transactional_id=shard, request_timeout_ms=60_000
        )
        try:
            await producer.start()
        finally:
            await producer.stop()

    async def join() -> None:
        settings = secured.settings(Role.CONSUMER)
        consumer = AIOKafkaConsumer(
            topic_name(Topic.ALERTS, settings), **client_options(settings), group_id=group
        )
        try:
            await consumer.start()
        finally:
            await consumer.stop()

    with pytest.raises(TransactionalIdAuthorizationFailed):
        asyncio.run(fence())
    with pytest.raises(GroupAuthorizationFailedError):
        asyncio.run(join())
    for role in (Role.INGEST, Role.WORKER, Role.CONSUMER, Role.AUDITOR):
        with pytest.raises(ConnectionFailed, match="topics acls"):
            topics.apply(secured.settings(role, topic_prefix="new."))


def test_a_missing_right_is_one_line(secured: SecuredBroker) -> None:
    """What was refused, and where the rights are shown."""
    settings = secured.settings(Role.CONSUMER)
    with pytest.raises(ConnectionFailed, match=r"refuses this to .*AuthorizationFailedError.*topics acls"):
        publish(
            [(b"patient-1", b"{}")],
            settings=settings,
            topic=topic_name(Topic.ALERTS, settings),
            shard_of=lambda _key, _count: 0,
        )
    with (
        TopicReader(settings, client_id="test") as reader,
        pytest.raises(
            EnvironmentBroken, match=r"does not exist, or consumer may not see it \(`pv-stream topics acls"
        ),
    ):
        reader.shards(topic_name(Topic.EVENTS, settings))


async def _refusals(
    settings: Settings, ids: list[str], groups: list[str]
) -> tuple[dict[tuple[str, str], int | None], dict[str, bool]]:
    """Return how Kafka refuses the offsets of each group in a transaction of each id, and whether a group alone."""
    client = AIOKafkaClient(**client_options(settings))
    await client.bootstrap()
    node = client.get_random_node()
    try:
        in_transaction = {
            (name, group): (
                await client.send(node, AddOffsetsToTxnRequest(name, NOBODYS_PRODUCER, 0, group))
            ).error_code
            for name in ids
            for group in groups
        }
        alone = {
            group: (await client.send(node, HeartbeatRequest(group, 1, "nobody"))).error_code
            for group in groups
        }
    finally:
        await client.close()
    # What is not refused for a right is refused because that producer or member does not exist.
    assert 0 not in {*in_transaction.values(), *alone.values()}
    refused = {
        pair: code if code in {ID_DENIED, GROUP_DENIED} else None for pair, code in in_transaction.items()
    }
    return refused, {group: code == GROUP_DENIED for group, code in alone.items()}


async def _writable(settings: Settings) -> set[Topic]:
    """Try to write a record to every topic and return those that took it."""

    async def takes(producer: AIOKafkaProducer, topic: Topic) -> bool:
        try:
            await producer.send_and_wait(topic_name(topic, settings), key=b"k", value=b"v", partition=1)
        except TopicAuthorizationFailedError:
            return False
        return True

    async with AIOKafkaProducer(**client_options(settings)) as producer:
        took = await asyncio.gather(*(takes(producer, topic) for topic in Topic))
    return {topic for topic, taken in zip(Topic, took, strict=True) if taken}


async def _readable(settings: Settings) -> set[Topic]:
    """Try to fetch from every topic, in one request, and return those that gave."""
    names = {topic_name(topic, settings): topic for topic in Topic}
    client = AIOKafkaClient(**client_options(settings))
    await client.bootstrap()
    try:
        request = FetchRequest(0, 0, 1024, 0, [(name, [(1, 0, 1024)]) for name in names], "")
        answer = await client.send(client.get_random_node(), request)
    finally:
        await client.close()
    codes = {name: partitions[0][1] for name, partitions in answer.topics}
    assert set(codes.values()) <= {0, TOPIC_DENIED}
    return {names[name] for name, code in codes.items() if code == 0}
