"""Image, compose file, manifests and documents name what there is, and ask for no more than they need."""

import json
import re
import shlex
from typing import Any, Final, get_args

import pytest
import yaml
from pydantic import SecretStr

from pv_stream.settings import Settings
from tests.deploy.artefacts import (
    COMPOSE,
    CONTAINERFILE,
    DASHBOARD,
    DEPLOY,
    GUIDES,
    ROOT,
    arguments,
    code_blocks,
    environment,
    manifests,
    of_kind,
    pods,
    texts,
)
from tests.deploy.commands import unknown_options

FIELDS: Final = Settings.model_fields
LISTENERS: Final = ("pv-stream-ingest-mllp", "pv-stream-ingest-http")
WORKER: Final = "pv-stream-worker"
#: The files of secrets that each pod needs, beside those that every one has.
SECRET_FILES: Final = {
    WORKER: {"PV_STREAM_LEDGER_KEY_FILE"},
    "pv-stream-topics": set(),
    "pv-stream-operator": set(),
    "pv-stream-ingest-mllp": {"PV_STREAM_PSEUDONYM_KEY_FILE"},
    "pv-stream-ingest-http": {"PV_STREAM_PSEUDONYM_KEY_FILE", "PV_STREAM_HTTP_TOKENS_FILE"},
}
SECRETS: Final = {name for name, field in FIELDS.items() if SecretStr in get_args(field.annotation)}
PLACES: Final = {
    "PV_STREAM_CONFIG",
    "PV_STREAM_NAME",
    "PV_STREAM_NAME_FILE",
    "PV_STREAM_TEST_BOOTSTRAP_SERVERS",
}


def field_of(variable: str) -> str:
    """Return the setting that a variable sets."""
    name = variable.removeprefix("PV_STREAM_").lower()
    of_secret = name.removesuffix("_file")
    return of_secret if name.endswith("_file") and of_secret in SECRETS else name


def test_every_file_can_be_parsed() -> None:
    for path in DEPLOY.rglob("*.y*ml"):
        assert list(yaml.safe_load_all(path.read_text())), path
    assert json.loads(DASHBOARD.read_text())["uid"] == "pv-stream"


@pytest.mark.parametrize(("path", "text"), texts().items(), ids=texts())
def test_every_setting_that_is_named_exists(path: str, text: str) -> None:
    named = set(re.findall(r"\bPV_STREAM_[A-Z_0-9]*[A-Z0-9]\b", text)) - PLACES
    unknown = {name for name in named if field_of(name) not in FIELDS}
    assert not unknown, f"{path} names {unknown}"


def test_the_settings_of_the_documents_are_those_of_the_code() -> None:
    """The first column of each table of settings, and the whole of security."""
    text = (ROOT / "docs" / "security.md").read_text()
    rows = re.findall(r"^\| ([a-z_, ]+) \| [^|]+ \| [^|]+ \|$", text, re.MULTILINE)
    named = {name.strip() for row in rows for name in row.split(",")} - {"setting"}
    assert named == {name for name in FIELDS if name.startswith(("ssl_", "sasl_", "security_"))}


@pytest.mark.parametrize("name", pods())
def test_the_settings_of_a_pod_are_accepted(name: str) -> None:
    told = environment(pods()[name])
    values: dict[str, Any] = {
        field_of(variable): "from-the-cluster" if isinstance(value, dict) else value
        for variable, value in told.items()
    }
    settings = Settings(**values)
    assert settings.security_protocol == "SASL_SSL"
    assert (settings.replication_factor, settings.min_insync_replicas) == (3, 2)


@pytest.mark.parametrize("name", pods())
def test_a_pod_may_do_nothing_that_it_does_not_need(name: str) -> None:
    pod = pods()[name]
    (container,) = pod["containers"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 10001
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["limits"]["memory"]


@pytest.mark.parametrize("name", pods())
def test_files_that_settings_and_options_name_are_mounted_from_secrets(name: str) -> None:
    pod = pods()[name]
    (container,) = pod["containers"]
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    claims = {claim["metadata"]["name"] for claim in _stateful(name).get("volumeClaimTemplates", ())}
    assert set(mounts.values()) == {*volumes, *claims}
    files = {key: value for key, value in environment(pod).items() if key.endswith("FILE")}
    common = {"PV_STREAM_SSL_CAFILE", "PV_STREAM_SASL_PASSWORD_FILE"}
    assert set(files) == common | SECRET_FILES[name]
    options = [word.partition("=")[2] for word in arguments(pod) if "=/" in word]
    guide = (ROOT / "docs" / "deploy.md").read_text()
    for path in (*files.values(), *options):
        folder, _, file = path.rpartition("/")
        secret = volumes[mounts[folder]]["secret"]["secretName"]
        assert re.search(rf"create secret generic {secret} .*--from-file={re.escape(file)}\b", guide), path
    user = environment(pod)["PV_STREAM_SASL_USERNAME"]["secretKeyRef"]
    assert f"create secret generic {user['name']} --from-literal=username=" in guide


def _stateful(name: str) -> dict[str, Any]:
    """Return the specification of the stateful set of a name; empty when something else makes the pod."""
    found: list[dict[str, Any]] = [
        each["spec"]
        for each in manifests()
        if each["kind"] == "StatefulSet" and each["metadata"]["name"] == name
    ]
    return found[0] if found else {}


def test_the_operators_pod_waits_and_is_there_only_when_it_is_asked_for() -> None:
    assert of_kind("Deployment")["spec"]["replicas"] == 0
    (container,) = pods()["pv-stream-operator"]["containers"]
    assert container["command"] == ["sleep", "infinity"]


@pytest.mark.parametrize("name", sorted(pods().keys() - {"pv-stream-operator"}))
def test_a_pod_runs_a_command_that_exists_with_its_options(name: str) -> None:
    assert not unknown_options(arguments(pods()[name]))


@pytest.mark.parametrize(
    ("name", "port"),
    [(WORKER, "PV_STREAM_HEALTH_PORT"), *((n, "PV_STREAM_LISTENER_HEALTH_PORT") for n in LISTENERS)],
)
def test_a_pod_is_probed_where_it_answers_and_has_time_to_stop(name: str, port: str) -> None:
    pod = pods()[name]
    (container,) = pod["containers"]
    told = environment(pod)
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert str(ports["health"]) == told[port]
    assert told["PV_STREAM_HEALTH_HOST"] == "0.0.0.0"  # noqa: S104 - in a pod nobody else is there
    paths = {probe: container[f"{probe}Probe"]["httpGet"] for probe in ("startup", "liveness", "readiness")}
    assert paths == {
        "startup": {"path": "/livez", "port": "health"},
        "liveness": {"path": "/livez", "port": "health"},
        "readiness": {"path": "/readyz", "port": "health"},
    }
    drain_seconds = float(told["PV_STREAM_SHUTDOWN_TIMEOUT_SECONDS"])
    assert pod["terminationGracePeriodSeconds"] > drain_seconds
    template = of_kind("StatefulSet", name)["spec"]["template"]["metadata"]
    assert template["annotations"]["prometheus.io/port"] == told[port]


def test_a_worker_has_a_lasting_name() -> None:
    assert environment(pods()[WORKER])["PV_STREAM_WORKER_ID"] == {"fieldRef": {"fieldPath": "metadata.name"}}


@pytest.mark.parametrize("name", LISTENERS)
def test_a_listener_has_a_name_of_its_own_tls_and_a_reject_store_that_stays_its_own(name: str) -> None:
    pod, stateful = pods()[name], _stateful(name)
    (container,) = pod["containers"]
    words = dict(word.partition("=")[::2] for word in arguments(pod)[1:])
    own = {entry["name"]: entry.get("valueFrom") for entry in container["env"]}
    assert words["--name"] == "$(POD_NAME)"
    assert own["POD_NAME"] == {"fieldRef": {"fieldPath": "metadata.name"}}
    assert {"--tls-cert", "--tls-key"} <= words.keys()
    assert ("--client-ca" in words) or ("PV_STREAM_HTTP_TOKENS_FILE" in environment(pod))
    (claim,) = stateful["volumeClaimTemplates"]
    kept = {
        mount["mountPath"]
        for mount in container["volumeMounts"]
        if mount["name"] == claim["metadata"]["name"]
    }
    assert kept == {environment(pod)["PV_STREAM_STATE_DIR"]}
    # Without it the group could read the store after the next start, and the listener would refuse it.
    assert pod["securityContext"]["fsGroupChangePolicy"] == "OnRootMismatch"
    (served,) = of_kind("Service", name)["spec"]["ports"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert str(ports[served["targetPort"]]) == words["--port"]
    open_ports = {
        port["port"] for rule in of_kind("NetworkPolicy", name)["spec"]["ingress"] for port in rule["ports"]
    }
    assert open_ports == set(ports.values())


@pytest.mark.parametrize("name", [WORKER, *LISTENERS])
def test_selectors_choose_the_pods_that_they_mean(name: str) -> None:
    stateful = of_kind("StatefulSet", name)["spec"]
    labels = stateful["template"]["metadata"]["labels"]
    assert stateful["selector"]["matchLabels"] == labels
    assert of_kind("Service", name)["spec"]["selector"] == labels
    assert stateful["serviceName"] == name
    for policy in ("pv-stream", name):
        if policy != WORKER:
            chosen = of_kind("NetworkPolicy", policy)["spec"]["podSelector"]["matchLabels"]
            assert chosen.items() <= labels.items()


def test_workers_are_fewer_than_shards_and_more_than_may_be_taken_away() -> None:
    stateful, budget = of_kind("StatefulSet", WORKER)["spec"], of_kind("PodDisruptionBudget")["spec"]
    assert budget["selector"]["matchLabels"] == stateful["template"]["metadata"]["labels"]
    assert budget["maxUnavailable"] < stateful["replicas"] <= Settings().partitions
    chosen = of_kind("NetworkPolicy", "pv-stream")["spec"]["podSelector"]["matchLabels"]
    job = of_kind("Job")["spec"]["template"]["metadata"]["labels"]
    assert chosen.items() <= job.items()


def test_the_list_of_manifests_is_whole() -> None:
    listed = set(of_kind("Kustomization")["resources"])
    assert listed == {path.name for path in (DEPLOY / "kubernetes").glob("*.yaml")} - {"kustomization.yaml"}
    assert all("namespace" not in each.get("metadata", {}) for each in manifests())


def test_a_pod_speaks_with_kafka_on_the_port_that_the_policy_opens() -> None:
    servers = of_kind("ConfigMap")["data"]["PV_STREAM_BOOTSTRAP_SERVERS"]
    open_ports = {
        port["port"]
        for rule in of_kind("NetworkPolicy", "pv-stream")["spec"]["egress"]
        for port in rule["ports"]
    }
    assert {int(server.rpartition(":")[2]) for server in servers.split(",")} <= open_ports


def _compose() -> dict[str, Any]:
    services: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"]
    return services


def test_compose_starts_the_worker_after_broker_and_topics_and_lets_it_finish() -> None:
    worker, topics = _compose()["worker"], _compose()["topics"]
    assert worker["depends_on"] == {
        "kafka": {"condition": "service_healthy"},
        "topics": {"condition": "service_completed_successfully"},
    }
    assert topics["command"] == ["topics", "apply"]
    told: dict[str, Any] = {field_of(name): value for name, value in worker["environment"].items()}
    settings = Settings(**told)
    assert settings.partitions == Settings().partitions
    assert int(worker["stop_grace_period"].removesuffix("s")) > settings.shutdown_timeout_seconds
    assert f":{settings.health_port}/readyz" in worker["healthcheck"]["test"][-1]
    for service in (worker, topics):
        assert (COMPOSE.parent / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
        assert service["cap_drop"] == ["ALL"]


def test_compose_asks_the_listener_at_the_port_of_its_health() -> None:
    listener = _compose()["ingest-mllp"]
    told: dict[str, Any] = {field_of(name): value for name, value in listener["environment"].items()}
    settings = Settings(**told)
    assert f":{settings.listener_health_port}/readyz" in listener["healthcheck"]["test"][-1]
    assert f"127.0.0.1:{settings.listener_health_port}:" in listener["ports"][1]
    assert int(listener["stop_grace_period"].removesuffix("s")) > settings.shutdown_timeout_seconds


def test_compose_publishes_the_unguarded_broker_to_this_machine_alone() -> None:
    published = [port for service in _compose().values() for port in service.get("ports", ())]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_the_image_is_made_of_what_is_there_locked_and_not_root() -> None:
    text = CONTAINERFILE.read_text()
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    copied = [
        word
        for line in text.splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for word in line.split()[1:-1]
    ]
    assert copied
    for path in copied:
        assert (ROOT / path).exists(), path
        assert f"!{path}" in ignored, f"{path} is not sent to the builder"
    assert "--require-hashes --only-binary=:all: -r requirements/live.txt" in text
    assert re.search(r"^USER 10001:10001$", text, re.MULTILINE)
    assert re.search(r"^STOPSIGNAL SIGTERM$", text, re.MULTILINE)


def test_the_lock_of_the_image_is_a_part_of_the_lock_of_all() -> None:
    """What is tested is what is installed."""

    def pins(name: str) -> set[str]:
        lines = (ROOT / "requirements" / name).read_text().splitlines()
        return {line.split(" ")[0] for line in lines if "==" in line}

    assert pins("live.txt") <= pins("all.txt")
    assert any(pin.startswith("faust-streaming==") for pin in pins("live.txt"))


def _commands() -> dict[str, list[str]]:
    """Return every command line of the documents, called here or in a container."""
    found = {}
    for path in GUIDES:
        for line in code_blocks(path.read_text()).splitlines():
            if at := re.match(
                r"(?:(?:[A-Z_]+=\S+ )*(?:\S*/)?pv-stream|.* run --rm (?:pv-stream|topics)) ([a-z].*)$", line
            ):
                found[f"{path.name}: {at[1]}"] = shlex.split(at[1], comments=True)
    return found


@pytest.mark.parametrize(("where", "words"), _commands().items(), ids=_commands())
def test_a_command_in_a_document_exists_with_its_options(where: str, words: list[str]) -> None:
    assert not unknown_options(words), where
