"""Who may send over HTTP, and where: tokens, addresses, methods, readiness."""

from collections.abc import Iterator

import pytest
from fhir.resources.R4B import get_fhir_model_class

from pv_stream.ingest.intake import Intake
from pv_stream.ingest.listeners.http_tokens import Tokens
from tests.unit.ingest.listeners.http_serving import (
    OTHER_TOKEN,
    TOKEN,
    Served,
    fresh,
    is_outcome,
    serving,
)
from tests.unit.ingest.messages import as_json


@pytest.fixture(scope="module")
def guarded_listener(intake: Intake, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A listener that asks for tokens."""
    with serving(intake, tmp_path_factory.mktemp("guarded"), tokens=Tokens(f"{TOKEN}\n{OTHER_TOKEN}")) as one:
        yield one


@pytest.fixture
def guarded(guarded_listener: Served) -> Served:
    """The same, with nothing written yet."""
    guarded_listener.memory.clear()
    return guarded_listener


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        (None, "token_missing"),
        ("", "token_unknown"),
        ("Bearer", "token_unknown"),
        ("Bearer ", "token_unknown"),
        (f"Bearer {TOKEN[:-1]}", "token_unknown"),
        (f"Bearer {TOKEN}x", "token_unknown"),
        (f"Bearer {TOKEN}, {OTHER_TOKEN}", "token_unknown"),
        (f"Basic {TOKEN}", "token_unknown"),
        (TOKEN, "token_unknown"),
        ("Bearer \xe9" + TOKEN, "token_unknown"),
    ],
)
def test_without_a_token_of_ours_nobody_sends(guarded: Served, authorization: str | None, code: str) -> None:
    named = {} if authorization is None else {"authorization": authorization}
    said = guarded.post("/fhir", as_json(fresh()), **named)
    assert (said.status, said.codes) == (401, [code])
    assert said.headers["www-authenticate"].startswith('Bearer realm="pv-stream"')
    assert is_outcome(said)
    assert guarded.memory.messages == []


@pytest.mark.parametrize("authorization", [f"Bearer {TOKEN}", f"bearer  {OTHER_TOKEN}"])
def test_with_a_token_of_ours_one_sends(guarded: Served, authorization: str) -> None:
    assert guarded.post("/fhir", as_json(fresh()), authorization=authorization).status == 200


def test_a_path_is_not_probed_without_a_token(guarded: Served) -> None:
    assert guarded.ask("GET", "/nothing/here").status == 401
    assert guarded.ask("GET", "/fhir").status == 401


def test_each_token_has_keys_of_its_own(guarded: Served) -> None:
    for token in (TOKEN, OTHER_TOKEN):
        said = guarded.post(
            "/fhir", as_json(fresh()), authorization=f"Bearer {token}", idempotency_key="the same"
        )
        assert said.status == 200


def test_tokens_are_neither_said_nor_logged(guarded: Served) -> None:
    guarded.post("/fhir", as_json(fresh()), authorization=f"Bearer {TOKEN}")
    guarded.post("/fhir", as_json(fresh()), authorization="Bearer a-wrong-token-that-nobody-knows")
    said = "".join((*guarded.lines, *guarded.logged))
    assert TOKEN not in said
    assert "a-wrong-token" not in said


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metadata", "/fhir/metadata"])
def test_what_says_nothing_of_patients_needs_no_token(guarded: Served, path: str) -> None:
    assert guarded.ask("GET", path).status == 200


@pytest.mark.parametrize(
    "path", ["/", "/fhir/", "/fhir/Plover", "/fhir/Patient/1", "/docs", "/openapi.json", "/redoc", "//fhir"]
)
def test_an_unknown_path_is_404(served: Served, path: str) -> None:
    said = served.post(path, as_json(fresh()))
    assert (said.status, said.codes) == (404, ["not_found"])
    assert is_outcome(said)
    assert "location" not in said.headers


@pytest.mark.parametrize(("method", "path"), [("GET", "/fhir"), ("PUT", "/fhir/Patient"), ("POST", "/livez")])
def test_a_method_that_does_nothing_is_405(served: Served, method: str, path: str) -> None:
    said = served.ask(method, path)
    assert (said.status, said.codes) == (405, ["method_not_allowed"])
    assert said.headers["allow"]


def test_no_header_names_the_server(served: Served) -> None:
    assert "server" not in served.ask("GET", "/livez").headers


def test_it_is_ready_only_while_kafka_answers(served: Served) -> None:
    assert served.ask("GET", "/readyz").status == 200
    served.ready[0] = False
    assert served.ask("GET", "/readyz").status == 503
    served.ready[0] = True
    assert served.ask("GET", "/livez").status == 200


def test_the_statement_of_what_it_takes_is_one_of_fhir(served: Served) -> None:
    said = served.ask("GET", "/metadata")
    get_fhir_model_class("CapabilityStatement").model_validate_json(said.body)
    (rest,) = said.outcome["rest"]
    assert rest["mode"] == "server"
    assert {"type": "Observation"} in rest["resource"]
    assert "interaction" not in rest
    assert said.outcome["fhirVersion"] == "4.0.1"
