"""What `pv-stream kafka up` refuses before it starts anything, and what it says when it has started."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pv_stream.cli import kafka
from pv_stream.errors import UsageError
from pv_stream.stream.kafka_dev import broker
from pv_stream.stream.kafka_dev.broker import BrokerStatus, LocalBroker


def test_two_ports_are_needed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--port and --controller-port are both 9999"):
        LocalBroker(tmp_path, port=9999, controller_port=9999).up()


def test_a_broker_on_another_port_is_not_passed_off_as_the_one_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broker.json").write_text(json.dumps({"pid": 1, "port": 9092}))
    monkeypatch.setattr(broker, "_is_our_broker", lambda _pid, _config: True)
    monkeypatch.setattr(broker, "answers", lambda _host, _port, *, timeout_seconds: timeout_seconds > 0)
    with pytest.raises(UsageError, match=r"runs already, at 127\.0\.0\.1:9092 and not on 9192"):
        LocalBroker(tmp_path, port=9192).up()
    assert LocalBroker(tmp_path, port=9092).up().ready


@pytest.mark.parametrize(("port", "said"), [(9092, False), (9192, True)])
def test_another_port_comes_with_the_setting_that_finds_it(
    port: int,
    said: bool,  # noqa: FBT001 - a column of the table
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def up(self: LocalBroker) -> BrokerStatus:
        return BrokerStatus(
            running=True,
            ready=True,
            bootstrap_servers=f"127.0.0.1:{self.port}",
            pid=1,
            state_dir=str(self.state_dir),
        )

    monkeypatch.setattr(LocalBroker, "up", up)
    result = CliRunner().invoke(kafka.app, ["up", "--state-dir", str(tmp_path), "--port", str(port)])
    assert result.exit_code == 0
    assert (f"export PV_STREAM_BOOTSTRAP_SERVERS=127.0.0.1:{port}" in result.stderr) == said
