"""An outage is said once when it begins and once when it ends."""

from pv_stream.errors import ConnectionFailed, UsageError
from pv_stream.settings import Settings
from pv_stream.stream.broker_watch import ASK_SECONDS, BrokerWatch


class Broker:
    """A broker and a clock that the test moves."""

    def __init__(self) -> None:
        self.up = True
        self.files_are_whole = True
        self.now = 0.0
        self.asked = 0

    def ask(self, settings: Settings, *, timeout_seconds: float) -> None:
        del timeout_seconds
        self.asked += 1
        if not self.files_are_whole:
            message = "ca.pem is no PEM file"
            raise UsageError(message)
        if not self.up:
            raise ConnectionFailed(settings.bootstrap_servers)


def test_going_and_coming_back_are_one_line_each() -> None:
    broker, said = Broker(), list[str]()
    watch = BrokerWatch(
        Settings(bootstrap_servers="kafka:9092"), said.append, ask=broker.ask, clock=lambda: broker.now
    )
    for broker.now, broker.up in ((10, True), (20, False), (30, False), (80, True), (90, True)):
        watch.look()
        assert watch.gone != broker.up
    gone, back = said
    assert gone.startswith("Kafka at kafka:9092 does not answer any more")
    assert "pv-stream kafka up" in gone
    assert back == "Kafka at kafka:9092 answers again, after 60 s"


def test_files_that_are_being_renewed_are_said_once_and_change_nothing_that_is_known() -> None:
    broker, said = Broker(), list[str]()
    watch = BrokerWatch(
        Settings(bootstrap_servers="kafka:9092"), said.append, ask=broker.ask, clock=lambda: broker.now
    )
    for broker.up, broker.files_are_whole, gone in (
        (True, False, False),
        (True, False, False),
        (False, True, True),
        (False, False, True),
        (True, True, False),
    ):
        broker.now += ASK_SECONDS
        watch.look()
        assert watch.gone is gone
    assert [line.split(";")[0] for line in said] == [
        "ca.pem is no PEM file",
        "Kafka at kafka:9092 does not answer any more: nothing is read or written until it is back",
        "ca.pem is no PEM file",
        "Kafka at kafka:9092 answers again, after 20 s",
    ]


def test_a_loop_that_turns_often_asks_only_when_it_is_due() -> None:
    broker, said = Broker(), list[str]()
    watch = BrokerWatch(
        Settings(bootstrap_servers="kafka:9092"), said.append, ask=broker.ask, clock=lambda: broker.now
    )
    watch.look_when_due()
    assert broker.asked == 0
    broker.now = ASK_SECONDS
    watch.look_when_due()
    watch.look_when_due()
    assert broker.asked == 1
