"""What callers are told is there in both languages, and the caller's header chooses."""

from __future__ import annotations

import ast
import pickle
import re
from collections.abc import Iterator

import pytest

from frontend.answers import guidance
from frontend.answers.http_errors import CODES, HTTP_ERRORS
from frontend.domain.errors import (
    AUDIO_ERRORS_BY_CODE,
    InvalidRequest,
    NotReady,
    RangeNotSatisfiable,
    StoreUnavailable,
)
from frontend.domain.records import CallRecord, Failure, State, StoredAudio
from frontend.i18n.language import preferred
from preprocess.errors import AudioError, AudioTooLong, CodedError, TooManyChannels
from runtime.config import ROOT
from runtime.diagnosis import Reason, Status
from runtime.errors import ParametersDiffer
from runtime.messages.catalogue import say_error, sections
from runtime.messages.languages import Language

# ModelContractError by way of /readyz; RangeNotSatisfiable has its text in its class, as ParametersDiffer has.
TOLD = {http_error.__name__ for http_error in HTTP_ERRORS} - {"RangeNotSatisfiable"} | {"ModelContractError"}


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", "es"), ("en_US", "en"),
        ("es", "es"), ("en", "en"), ("es-AR,es;q=0.9,en;q=0.8", "es"), ("en-US,en;q=0.9,es;q=0.8", "en"),
        ("EN-gb", "en"), ("en;q=0.2, es;q=0.7", "es"), ("pt-BR, fr;q=0.5", "es"), ("pt-BR, en;q=0.1", "en"),
        ("*", "es"),
        ("es;q=0", "en"), ("es;q=0, *;q=0.5", "en"), ("en;q=0", "es"), ("es;q=0, en;q=0", "es"), ("*, en;q=0.1", "es"),
        ("en, es", "en"), ("en;q=1.0;x=y, es;q=0.9", "en"), ("en;q=two, es;q=0.1", "es"), ("en;q=nan, es;q=0.1", "es"),
        ("en;q=7, es;q=0.1", "es"), (";;;,,,=", "es"), ("english", "es"), ("ñ", "es"),
        ("en;q=0.5, en-US, es;q=0.9", "en"),
    ],
)  # fmt: skip
def test_the_header_chooses(header: str, expected: str) -> None:
    assert preferred(header) is Language(expected)


def test_a_long_header_is_read_in_no_time() -> None:
    assert preferred("xx;q=0.1," * 6000 + "en") is Language.ENGLISH


def raised() -> Iterator[tuple[str, ast.expr]]:
    """The key of every error of TOLD that is made below, and where."""
    for package in ("preprocess", "runtime", "frontend"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in TOLD:
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", node.args[0]


# Keys that are put together: `again_<code>` of a failed call, and those of the two stores and the intake's queue.
OF_SERVICES = {
    f"{service}_{what}"
    for service in ("audio_store", "record_store", "intake_queue")
    for what in ("unusable", "unreachable", "refused")
}
MADE = {
    'f"again_{failure.code}"',
    'f"{service}_unusable"',
    'f"{service}_unreachable"',
    'f"{service}_refused"',
    "DAMAGED",
    "ERASED",
    "UNREADABLE",
}


def test_every_error_that_is_made_has_its_sentence() -> None:
    found = dict(raised())
    assert len(found) > 40
    for where, argument in found.items():
        if isinstance(argument, ast.Constant):
            assert argument.value in sections(Language.SPANISH)["detail"], where
        else:
            assert ast.unparse(argument).replace("'", '"') in MADE, where
    for code in AUDIO_ERRORS_BY_CODE:
        assert f"again_{code}" in sections(Language.SPANISH)["detail"]
    assert set(sections(Language.SPANISH)["detail"]) >= OF_SERVICES


def test_no_sentence_is_left_over() -> None:
    said = {f"again_{code}" for code in AUDIO_ERRORS_BY_CODE}
    said |= OF_SERVICES
    for package in ("preprocess", "runtime", "frontend"):
        for path in (ROOT / package).rglob("*.py"):
            said |= {
                node.value
                for node in ast.walk(ast.parse(path.read_text()))
                if isinstance(node, ast.Constant) and isinstance(node.value, str)
            }
    assert set(sections(Language.ENGLISH)["detail"]) <= said


def test_preprocess_holds_no_sentence_for_callers() -> None:
    for where, argument in raised():
        if where.startswith("preprocess/"):
            assert isinstance(argument, ast.Constant), where
            assert re.fullmatch(r"[a-z_]+", str(argument.value)), where


@pytest.mark.parametrize(
    ("error", "spanish"),
    [
        (
            AudioTooLong("recording_too_long", most=120.0),
            "La grabación dura más de 120 s: envíe solo la parte con la tos.",
        ),
        (RangeNotSatisfiable(12), "El audio tiene 12 bytes: pida un rango dentro de él."),
        (
            StoreUnavailable("audio_store_unusable"),
            "El almacén de audio no se puede usar ahora: inténtelo de nuevo.",
        ),
        (
            NotReady("because", reason=ParametersDiffer("mel_spec.n_fft", 512, 1024)),
            "mel_spec.n_fft es 1024, pero el modelo se entrenó con 512: "
            "use los parámetros del modelo, o entrene y exporte un modelo con los suyos.",
        ),
        (
            NotReady("because", reason=NotReady("shutting_down")),
            "El servicio se está cerrando: consulte otra réplica.",
        ),
        (ValueError("not one of ours"), "not one of ours"),
    ],
)
def test_an_error_is_said_in_both(error: Exception, spanish: str) -> None:
    assert say_error(error, Language.SPANISH) == spanish
    english = say_error(error, Language.ENGLISH)
    assert english == str(error) or isinstance(error, AudioError)
    assert "{" not in english


def test_values_with_braces_stay_as_they_are() -> None:
    error = InvalidRequest("form_unreadable", reason="{x} {0}")
    assert "({x} {0})" in say_error(error, Language.SPANISH)


@pytest.mark.parametrize(
    "error",
    [
        TooManyChannels("too_many_channels", channels=3, most=2),
        ParametersDiffer("a.b", 1, 2),
        RangeNotSatisfiable(7),
        StoreUnavailable("x", retry_after_s=9),
    ],
)
def test_an_error_travels_between_processes(error: CodedError) -> None:
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


def test_a_reason_of_a_newer_release_is_ignored() -> None:
    """While replicas of two releases answer, each reads what the other has written."""
    said = guidance.guidance(call(status="poor_quality", reasons=["wind", "clipped"]), Language.ENGLISH)
    assert said["hints"] == [sections(Language.ENGLISH)["hint"][Reason.CLIPPED]]


@pytest.mark.parametrize("cause", [Reason.HUM, Reason.TONE])
def test_who_hears_a_hum_or_a_tone_is_not_told_to_come_closer(cause: Reason) -> None:
    hints = sections(Language.SPANISH)["hint"]
    said = guidance.guidance(call(status="poor_quality", reasons=["low_snr", cause.value]), Language.SPANISH)
    assert said["hints"] == [hints[cause]]
    assert not any("acerque" in hint for hint in said["hints"])
    assert "aléjese del cargador" in hints[Reason.HUM]
    noisy = guidance.guidance(call(status="poor_quality", reasons=["low_snr"]), Language.SPANISH)
    assert noisy["hints"] == [hints[Reason.LOW_SNR]]


def test_who_may_have_coughed_is_asked_to_cough_twice() -> None:
    said = guidance.guidance(call(status="inconclusive", reasons=["uncertain_cough"]), Language.SPANISH)
    assert said["hints"] == [
        "Puede haber una tos, pero no se oye con claridad: acerque el teléfono y tosa otra vez, dos veces."
    ]


def test_every_state_has_a_name() -> None:
    for language in Language:
        assert sections(language)["state"].keys() == {*State}


def test_every_problem_has_a_title_and_nothing_else_has() -> None:
    for language in Language:
        assert sections(language)["title"].keys() == {*CODES}


def test_every_status_and_reason_has_guidance() -> None:
    texts = sections(Language.SPANISH)
    coughs = {"one_cough", "coughs"}  # of the status `ok`
    assert texts["message"].keys() == {*Status, State.RECEIVED, State.FAILED} - {Status.OK} | coughs
    # Nothing that a caller could do about a model that is not validated.
    assert texts["hint"].keys() == set(Reason) - {Reason.UNVALIDATED_MODEL} | {Status.NO_COUGH}


@pytest.mark.parametrize("status", [statu for statu in Status if statu is not Status.OK])
@pytest.mark.parametrize("language", Language)
def test_what_is_not_ok_is_never_negative(status: Status, language: Language) -> None:
    said = guidance.guidance(call(status=status.value), language)["message"]
    assert {"en": "This is not a negative result.", "es": "Esto no es un resultado negativo."}[language] in said
