"""Settings: which source wins, and errors that name a setting and never its value."""

from pathlib import Path

import pytest

from pv_stream.errors import UsageError
from pv_stream.settings import load_settings

CANARY = "canary-7c1e"


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Leave out the developer's own settings."""
    monkeypatch.chdir(tmp_path)
    for name in (
        "BOOTSTRAP_SERVERS",
        "GROUP_ID",
        "PARTITIONS",
        "CONFIG",
        "PSEUDONYM_KEY",
        "PSEUDONYM_KEY_FILE",
    ):
        monkeypatch.delenv(f"PV_STREAM_{name}", raising=False)


def test_defaults_are_those_of_one_machine() -> None:
    settings = load_settings()
    assert settings.bootstrap_servers == "127.0.0.1:9092"
    assert settings.group_id == "pv-stream"
    assert settings.partitions == 4


def test_a_flag_wins_over_the_environment_and_that_over_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "pv-stream.toml").write_text('group_id = "file"\n')
    assert load_settings().group_id == "file"
    monkeypatch.setenv("PV_STREAM_GROUP_ID", "environment")
    assert load_settings().group_id == "environment"
    assert load_settings(group_id="flag").group_id == "flag"
    assert load_settings(group_id=None).group_id == "environment"


def test_a_secret_comes_from_the_file_that_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{CANARY}\n")
    monkeypatch.setenv("PV_STREAM_PSEUDONYM_KEY_FILE", str(tmp_path / "key"))
    key = load_settings().pseudonym_key
    assert key is not None
    assert key.get_secret_value() == CANARY
    assert CANARY not in repr(load_settings())


def test_a_secret_file_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PV_STREAM_PSEUDONYM_KEY_FILE", "nowhere")
    with pytest.raises(
        UsageError, match="PV_STREAM_PSEUDONYM_KEY_FILE names a file that cannot be read: nowhere"
    ):
        load_settings()


def test_a_wrong_value_is_named_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PV_STREAM_PARTITIONS", CANARY)
    with pytest.raises(UsageError, match="partitions") as caught:
        load_settings()
    assert CANARY not in str(caught.value)


def test_a_misspelt_setting_in_the_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "pv-stream.toml").write_text("partition = 3\n")
    with pytest.raises(UsageError, match="partition: Extra inputs"):
        load_settings()


def test_a_file_that_is_not_toml_is_named(tmp_path: Path) -> None:
    (tmp_path / "pv-stream.toml").write_text("partitions: 3\n")
    with pytest.raises(UsageError, match=r"pv-stream\.toml is not a TOML file"):
        load_settings()


def test_a_config_that_is_named_must_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PV_STREAM_CONFIG", "nowhere.toml")
    with pytest.raises(UsageError, match="nowhere"):
        load_settings()


def test_a_table_in_a_variable_is_json_and_what_is_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PV_STREAM_FHIR_IDENTIFIER_SYSTEMS", '{"https://a.example.org/mrn": "NORTH"}')
    assert load_settings().fhir_identifier_systems == {"https://a.example.org/mrn": "NORTH"}
    monkeypatch.setenv("PV_STREAM_FHIR_IDENTIFIER_SYSTEMS", CANARY)
    with pytest.raises(
        UsageError, match=r"fhir_identifier_systems.* a variable holds a table as JSON"
    ) as caught:
        load_settings()
    assert CANARY not in str(caught.value)
