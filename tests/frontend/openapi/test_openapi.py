"""docs/openapi.json: what the verb writes, and no answer without an example that its schema allows."""

from __future__ import annotations

import base64
import io
import json
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
import soundfile
import yaml
from PIL import Image

from frontend.answers.http_errors import CODES, HTTP_ERRORS, INTERNAL_ERROR, METHOD_NOT_ALLOWED
from frontend.cli.write_openapi import FILE
from frontend.openapi import examples
from laptop.service import CHECKOUT
from runtime.diagnosis import Status, diagnosis_from_dict
from runtime.messages.catalogue import sections
from runtime.messages.languages import Language

DOCUMENT: dict[str, Any] = json.loads(FILE.read_text())
OPERATIONS = [
    pytest.param(operation, id=operation["operationId"])
    for methods in DOCUMENT["paths"].values()
    for operation in methods.values()
]


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        *path, name = node["$ref"].removeprefix("#/").split("/")
        node = DOCUMENT
        for item in [*path, name]:
            node = node[item]
    return node


def assert_allowed(value: object, schema: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator({**schema, "components": DOCUMENT["components"]}).validate(value)


def answers(operation: dict[str, Any]) -> Iterator[tuple[int, str, dict[str, Any]]]:
    for status, response in operation["responses"].items():
        for media_type, media in response.get("content", {}).items():
            yield int(status), media_type, media


def test_the_verb_writes_what_is_committed() -> None:
    """With nothing in the environment: no settings, no keys, no addresses."""
    command = [
        sys.executable,
        "-c",
        "import sys; from frontend.cli.write_openapi import text; sys.stdout.write(text())",
    ]
    run = subprocess.run(command, cwd=CHECKOUT, env={}, capture_output=True, text=True, check=True, encoding="utf-8")
    assert run.stdout == FILE.read_text(encoding="utf-8"), "run `make openapi`"


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_answer_has_examples_that_its_schema_allows(operation: dict[str, Any]) -> None:
    for status, media_type, media in answers(operation):
        assert media["examples"], (status, media_type)
        for name, reference in media["examples"].items():
            example = resolved(reference)
            if "externalValue" in example:
                assert_file(example["externalValue"])
                continue
            assert_allowed(example["value"], media["schema"])
            if media_type == "application/problem+json":
                assert (example["value"]["code"], example["value"]["status"]) == (name, status)
    assert {status for status, _, _ in answers(operation)} | {204} >= {
        int(response) for response in operation["responses"]
    }


def assert_file(uri: str) -> None:
    kind, data = uri.removeprefix("data:").split(";base64,")
    if kind == "image/png":
        with Image.open(io.BytesIO(base64.b64decode(data))) as image:
            image.load()
            assert image.format == "PNG"
    else:
        assert kind == "audio/wav"
        assert soundfile.info(io.BytesIO(base64.b64decode(data))).samplerate == 8000


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_parameter_and_header_has_an_example_that_its_schema_allows(operation: dict[str, Any]) -> None:
    for item in map(resolved, operation["parameters"]):
        schema = item["schema"]
        shown = [example["value"] for example in item.get("examples", {}).values()] or schema["examples"]
        assert shown
        assert item["description"]
        for value in shown:
            assert_allowed(value, schema)
    for response in operation["responses"].values():
        assert {"X-Request-ID", "X-Content-Type-Options"} <= response["headers"].keys()
        for header in map(resolved, response["headers"].values()):
            assert_allowed(header["example"], header["schema"])


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_is_described(operation: dict[str, Any]) -> None:
    assert operation["summary"]
    assert operation["description"].endswith(".")
    assert set(operation["tags"]) <= {tag["name"] for tag in DOCUMENT["tags"]}
    assert "503" in operation["responses"]
    for status, response in operation["responses"].items():
        assert ("Retry-After" in response["headers"]) == (status in {"202", "503"})


def test_names_of_operations_stay() -> None:
    """Whoever has generated a client calls them by these."""
    assert {operation.id for operation in OPERATIONS} == {
        "healthz", "readyz", "post_diagnosis", "post_stored_diagnosis", "list_calls", "get_call", "delete_call",
        "get_audio", "get_wav", "get_figure", "get_segment", "get_model",
    }  # fmt: skip


def test_every_code_of_the_table_is_shown_where_it_can_come_and_listed() -> None:
    shown = {
        name
        for operation in OPERATIONS
        for _, media_type, media in answers(operation.values[0])
        if media_type == "application/problem+json"
        for name in media["examples"]
    }
    assert shown == {http_error.code for http_error in HTTP_ERRORS.values()} | {"not_found"}
    assert DOCUMENT["components"]["schemas"]["Problem"]["properties"]["code"]["enum"] == list(CODES)
    assert set(CODES) - shown == {METHOD_NOT_ALLOWED.code, INTERNAL_ERROR.code}
    assert examples.PROBLEMS.keys() == set(CODES)


def test_nothing_in_the_components_is_left_over() -> None:
    used = set(re.findall(r'"#/components/([^"]+)"', json.dumps(DOCUMENT)))
    there = {f"{kind}/{name}" for kind, named in DOCUMENT["components"].items() for name in named}
    unrouted = {f"examples/{item.code}" for item in (METHOD_NOT_ALLOWED, INTERNAL_ERROR)}
    assert there - used == {"securitySchemes/APIKeyHeader"} | unrouted
    assert used <= there


def test_examples_say_what_the_code_says() -> None:
    """Their sentences are templates of the catalogue, and test_language.py holds that to the code."""
    said = [re.sub(r"\\{[^}]*\\}", ".+", re.escape(item)) for item in sections(Language.SPANISH)["detail"].values()]
    for code, problem in examples.PROBLEMS.items():
        assert any(re.fullmatch(line, problem["detail"]) for line in said), f"{code}: {problem['detail']}"


@pytest.mark.parametrize("name", [name for name, call in examples.CALLS.items() if call["diagnosis"]])
def test_diagnoses_of_the_examples_are_ones_that_can_be(name: str) -> None:
    """By the rules of runtime/conclude.py."""
    diagnosis = diagnosis_from_dict(examples.CALLS[name]["diagnosis"])
    assert all(
        segment.is_cough == (segment.cough_probability >= examples.MODEL["cough_threshold"])
        for segment in diagnosis.segments
    )
    assert (diagnosis.result is not None) == (diagnosis.status is Status.OK)
    if diagnosis.result:
        probability = statistics.median(cough.class_probabilities["positive"] for cough in diagnosis.coughs)
        assert (diagnosis.result.probability, diagnosis.result.label) == (probability, "negative")
        assert probability < diagnosis.result.thresholds.low
    assert diagnosis.to_dict() == examples.CALLS[name]["diagnosis"]


def test_the_model_of_the_examples_has_the_parameters_of_config_yml() -> None:
    config = yaml.safe_load((CHECKOUT / "config.yml").read_text())
    for section, parameters in examples.MODEL["preprocess"].items():
        assert parameters == config[section]
