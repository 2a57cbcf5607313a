"""What callers are told is there in both languages, and the caller's header chooses."""

from __future__ import annotations

import ast
import pickle
from collections.abc import Iterator
from string import Formatter

import pytest

from frontend.answers import guidance
from frontend.answers.http_errors import HTTP_ERRORS, INTERNAL_ERROR, METHOD_NOT_ALLOWED, NOT_FOUND
from frontend.answers.problem_document import NOT_VALID, SEE_DOCS
from frontend.domain.errors import (
    REFUSED,
    InvalidRequest,
    NotReady,
    RangeNotSatisfiable,
    StoreUnavailable,
)
from frontend.domain.records import CallRecord, Failure, State, StoredAudio
from frontend.i18n.language import Language, preferred
from frontend.i18n.spanish import SPANISH
from frontend.i18n.translate import say_error
from frontend.stores.protocols import ERASED
from preprocess.errors import AudioTooLong, TooManyChannels
from runtime.config import ROOT
from runtime.diagnosis import Reason, Status
from runtime.errors import ParametersDiffer, WordedError

# ModelContractError by way of /readyz; RangeNotSatisfiable has its text in its class, as ParametersDiffer has.
TOLD = {one.__name__ for one in HTTP_ERRORS} - {"RangeNotSatisfiable"} | {"ModelContractError"}


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", "es"), ("en_US", "en"),
        ("es", "es"), ("en", "en"), ("es-AR,es;q=0.9,en;q=0.8", "es"), ("en-US,en;q=0.9,es;q=0.8", "en"),
        ("EN-gb", "en"), ("en;q=0.2, es;q=0.7", "es"), ("pt-BR, fr;q=0.5", "es"), ("pt-BR, en;q=0.1", "en"), ("*", "es"),
        ("es;q=0", "en"), ("es;q=0, *;q=0.5", "en"), ("en;q=0", "es"), ("es;q=0, en;q=0", "es"), ("*, en;q=0.1", "es"),
        ("en, es", "en"), ("en;q=1.0;x=y, es;q=0.9", "en"), ("en;q=two, es;q=0.1", "es"), ("en;q=nan, es;q=0.1", "es"),
        ("en;q=7, es;q=0.1", "es"), (";;;,,,=", "es"), ("english", "es"), ("ñ", "es"), ("en;q=0.5, en-US, es;q=0.9", "en"),
    ],
)  # fmt: skip
def test_the_header_chooses(header: str, expected: str) -> None:
    assert preferred(header) is Language(expected)


def test_a_long_header_is_read_in_no_time() -> None:
    assert preferred("xx;q=0.1," * 6000 + "en") is Language.ENGLISH


def raised() -> Iterator[tuple[str, ast.expr]]:
    """What is given first to every error of TOLD that is made below, and where."""
    for package in ("preprocess", "runtime", "frontend"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in TOLD:
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", node.args[0]


def test_nothing_in_the_catalogue_is_left_over() -> None:
    said: set[str] = set()
    for package in ("preprocess", "runtime", "frontend"):
        for path in (ROOT / package).rglob("*.py"):
            if path.name not in {"spanish.py", "examples.py"}:
                said |= {
                    one.value
                    for one in ast.walk(ast.parse(path.read_text()))
                    if isinstance(one, ast.Constant) and isinstance(one.value, str)
                }
    assert set(SPANISH) <= said


def test_every_error_that_is_made_is_in_the_catalogue() -> None:
    found = dict(raised())
    assert len(found) > 50
    for where, argument in found.items():
        if isinstance(argument, ast.Constant):
            assert argument.value == "{reason}" or argument.value in SPANISH, where
        else:  # an f-string would be in no catalogue
            assert ast.unparse(argument) in {"ERASED", "REFUSED[failure.code]"}, where


@pytest.mark.parametrize(
    "text",
    [
        ERASED,
        NOT_VALID,
        SEE_DOCS,
        *REFUSED.values(),
        *(one.title for one in (*HTTP_ERRORS.values(), NOT_FOUND, METHOD_NOT_ALLOWED, INTERNAL_ERROR)),
        guidance.INTENDED_USE,
        guidance.NOT_VALIDATED,
        *guidance.MESSAGES.values(),
        *guidance.HINTS.values(),
        guidance.AGAIN,
        guidance.UNDER_ANOTHER_ID,
    ],
)
def test_every_text_is_in_the_catalogue(text: str) -> None:
    assert text in SPANISH


@pytest.mark.parametrize("english", SPANISH)
def test_a_translation_has_the_same_values_and_is_one(english: str) -> None:
    spanish = SPANISH[english]
    assert fields(english) == fields(spanish)
    assert spanish != english
    assert spanish.endswith(".") == english.endswith(".")


def fields(template: str) -> set[tuple[str, str | None, str | None]]:
    return {(name, spec, conversion) for _, name, spec, conversion in Formatter().parse(template) if name}


@pytest.mark.parametrize(
    ("error", "spanish"),
    [
        (
            AudioTooLong("The recording is longer than {most:g} s: send only the part with the coughs.", most=120.0),
            "La grabación dura más de 120 s: envíe solo la parte con la tos.",
        ),
        (RangeNotSatisfiable(12), "El audio tiene 12 bytes: pida un rango dentro de él."),
        (
            StoreUnavailable("{service} can't be used now: try again.", service="The audio store"),
            "El almacén de audio no se puede usar ahora: inténtelo de nuevo.",
        ),
        (
            NotReady("{reason}", reason=ParametersDiffer("mel_spec.n_fft", 512, 1024)),
            "mel_spec.n_fft es 1024, pero el modelo se entrenó con 512: "
            "use los parámetros del modelo, o entrene y exporte un modelo con los suyos.",
        ),
        (
            NotReady("{reason}", reason=NotReady("The service is shutting down: ask another replica.")),
            "El servicio se está cerrando: consulte otra réplica.",
        ),
        (ValueError("not one of ours"), "not one of ours"),
    ],
)
def test_an_error_is_said_in_both(error: Exception, spanish: str) -> None:
    assert say_error(error, Language.SPANISH) == spanish
    assert say_error(error, Language.ENGLISH) == str(error)
    assert "{" not in str(error)


def test_values_with_braces_stay_as_they_are() -> None:
    error = InvalidRequest(
        "The form can't be read ({reason}): send multipart/form-data with the file in the field `audio`.",
        reason="{x} {0}",
    )
    assert "({x} {0})" in say_error(error, Language.SPANISH)


@pytest.mark.parametrize(
    "error",
    [
        TooManyChannels("{channels} channels", channels=3),
        ParametersDiffer("a.b", 1, 2),
        RangeNotSatisfiable(7),
        StoreUnavailable("x", retry_after_s=9),
    ],
)
def test_an_error_travels_between_processes(error: WordedError) -> None:
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (type(copy), str(copy), copy.__dict__) == (type(error), str(error), error.__dict__)


def call(state: State = State.DIAGNOSED, failure: Failure | None = None, **diagnosis: object) -> CallRecord:
    audio = StoredAudio("calls/a/b", "0" * 64, 1, "audio/ogg")
    whole = (
        {"status": "ok", "reasons": [], "segments": [], "model": {"validated": True}, **diagnosis}
        if diagnosis
        else None
    )
    return CallRecord("a", state, "", "", 1, failure, audio, whole)


@pytest.mark.parametrize(
    ("record", "message", "hints"),
    [
        (
            call(status="ok", segments=[{"is_cough": True}, {"is_cough": False}]),
            "Se oyó una tos y el modelo pudo evaluarla.",
            [],
        ),
        (
            call(status="ok", segments=[{"is_cough": True}] * 3, reasons=["unvalidated_model"]),
            "Se oyeron 3 toses y el modelo pudo evaluarlas.",
            [],
        ),
        (
            call(status="no_cough"),
            "No se oyó ninguna tos. Esto no es un resultado negativo.",
            ["Acerque el teléfono y tosa dos o tres veces."],
        ),
        (
            call(status="poor_quality", reasons=["clipped"]),
            "La grabación no se puede evaluar: no se oye lo bastante bien. Esto no es un resultado negativo.",
            ["Suena demasiado fuerte: aleje el teléfono, a unos 30 cm, y grabe de nuevo."],
        ),
        (call(State.RECEIVED), "La grabación está guardada y el diagnóstico llegará solo.", []),
        (
            call(State.FAILED, Failure("empty_audio", False)),
            "La grabación no se pudo diagnosticar.",
            ["El archivo está vacío: envíe los bytes de la grabación."],
        ),
        (
            call(State.FAILED, Failure("inference_unavailable", True)),
            "La grabación no se pudo diagnosticar.",
            ["Envíe la grabación de nuevo."],
        ),
        (
            call(State.FAILED, Failure("audio_missing", False)),
            "La grabación no se pudo diagnosticar.",
            ["Envíe la grabación de nuevo con otro call_id."],
        ),
    ],
)
def test_guidance(record: CallRecord, message: str, hints: list[str]) -> None:
    assert guidance.guidance(record, Language.SPANISH) == {
        "language": "es",
        "message": message,
        "hints": hints,
        "intended_use": "Orientación, no diagnóstico médico.",
    }


def test_an_unvalidated_model_is_named_in_every_answer() -> None:
    for status in Status:
        said = guidance.guidance(call(status=status.value, model={"validated": False}), Language.SPANISH)
        assert said["intended_use"] == (
            "Orientación, no diagnóstico médico: el modelo no está validado y su respuesta no tiene valor médico."
        )


def test_a_reason_of_a_newer_release_is_passed_over() -> None:
    """While replicas of two releases answer, each reads what the other has written."""
    said = guidance.guidance(call(status="poor_quality", reasons=["wind", "clipped"]), Language.ENGLISH)
    assert said["hints"] == [guidance.HINTS[Reason.CLIPPED]]


def test_every_status_and_reason_has_guidance() -> None:
    assert guidance.MESSAGES.keys() == {*Status, State.RECEIVED, State.FAILED}
    assert guidance.HINTS.keys() == set(Reason) - {Reason.UNVALIDATED_MODEL}  # nothing that a caller could do about it


@pytest.mark.parametrize("status", [one for one in Status if one is not Status.OK])
@pytest.mark.parametrize("language", Language)
def test_what_is_not_ok_is_never_negative(status: Status, language: Language) -> None:
    said = guidance.guidance(call(status=status.value), language)["message"]
    assert {"en": "This is not a negative result.", "es": "Esto no es un resultado negativo."}[language] in said
