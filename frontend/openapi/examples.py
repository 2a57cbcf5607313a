"""Examples of the API docs: an invented call in each of its states, and every problem response.

This module has only values. Their form comes from the code that makes the answers, so an example can't show fields that
are not in an answer.
"""

from __future__ import annotations

import dataclasses
import hashlib
import zlib
from typing import Any

from frontend.answers.call_document import call_document
from frontend.answers.http_errors import HTTP_ERRORS, INTERNAL_ERROR, METHOD_NOT_ALLOWED, NOT_FOUND, HttpError
from frontend.answers.page_token import page_token
from frontend.answers.problem_document import problem_document
from frontend.calls.attempts import MAX_ATTEMPTS
from frontend.domain.errors import (
    AUDIO_ERRORS_BY_CODE,
    BodyTimeout,
    BodyTooLarge,
    CallConflict,
    CallErased,
    CallNotFound,
    InvalidCallId,
    InvalidRequest,
    MissingAudio,
    NotDiagnosed,
    NotReady,
    Overloaded,
    RangeNotSatisfiable,
    ServiceError,
    StoreUnavailable,
    Unauthorized,
)
from frontend.domain.records import CallRecord, Failure, State, StoredAudio
from frontend.stores.protocols import ERASED
from runtime.contract import MODEL_NAME, ModelContract
from runtime.diagnosis import (
    Audio,
    DiagnosedSegment,
    Diagnosis,
    HeardTone,
    NearThreshold,
    Reason,
    Result,
    Status,
)
from runtime.messages.catalogue import say
from runtime.messages.languages import DEFAULT as LANGUAGE
from runtime.messages.languages import Language
from runtime.model_facts import LABELS
from runtime.version import SOFTWARE_VERSION

CALL_ID = "0198c7a2-4d1e-7c3b-9f60-2b8f5d0a7e41"
REQUEST_ID = "4f0c7d8e9b2a4c61a53f0e7d1c8b9a60"
RETRY_AFTER_S = ServiceError("").retry_after_s
_BYTES = 35_844

# Smallest files of their kind.
WAV = "data:audio/wav;base64,UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA="
PNG = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)


def _digest(of: str) -> str:
    return hashlib.sha256(of.encode()).hexdigest()


def _cough(start_s: float, end_s: float, cough: float, positive: float) -> DiagnosedSegment:
    classes = dict(zip(LABELS, (round(1 - positive, 3), positive), strict=True))
    return DiagnosedSegment(start_s, end_s, cough, True, classes, f"{zlib.crc32(str(start_s).encode()):08x}")


_CONTRACT = ModelContract(
    name=MODEL_NAME,
    version="8",
    model_sha256=_digest("model.onnx"),
    validated=False,
    labels=LABELS,
    cough_threshold=0.4565,
    uncertain_threshold=0.2,
    threshold_low=0.625,
    threshold_high=0.625,
    score_margin=0.0001,
    operating_point={
        "recording_sensitivity": {"value": 0.98, "low": 0.96, "high": 0.99, "source": "COUGHVID, five folds"},
        "recording_false_alarms": {"value": 0.05, "low": 0.03, "high": 0.08, "source": "COUGHVID, five folds"},
    },
    preprocess={
        "color_spec": {"colormap": "magma", "max_db": 0.0, "min_db": -60.0},
        "mel_spec": {"sample_rate_hz": 8000, "n_fft": 256, "hop_length": 80, "n_mels": 64, "n_frames": 96,
                     "fmin_hz": 60.0, "fmax_hz": 4000.0},
        "segmentation": {"frame_ms": 32.0, "hop_ms": 10.0,
                         "band_edges_hz": [120.0, 250.0, 400.0, 600.0, 850.0, 1150.0, 1500.0, 1950.0, 2500.0, 3150.0,
                                           3900.0],
                         "outer_bands": 2, "on_ratio": 0.8, "off_ratio": 0.05, "floor_ratio": 1.5,
                         "merge_gap_ms": 50.0, "padding_ms": 20.0, "min_duration_ms": 180.0,
                         "max_duration_ms": 1200.0, "valley_ratio": 0.08},
    },
    preprocess_sha256=_digest("preprocess"),
    checkpoint_sha256=_digest("checkpoint"),
    data_sha256=_digest("data"),
    software_version=SOFTWARE_VERSION,
    max_batch_size=64,
)  # fmt: skip

_OK = Diagnosis(
    status=Status.OK,
    reasons=(Reason.UNVALIDATED_MODEL,),
    result=Result(LABELS[0], 0.25, _CONTRACT.thresholds, validated=False),
    segments=(
        _cough(0.97, 1.43, 0.653, 0.242),
        _cough(1.67, 2.14, 0.656, 0.25),
        DiagnosedSegment(3.88, 4.21, 0.112, False, None, "4d7a1c0e"),
        _cough(5.47, 5.98, 0.812, 0.322),
    ),
    audio=Audio(_digest("recording"), 10.0, 48_000, "opus", 1, 0, 31.3, 0.0, 3_968.75, 1, 0, 1, 0.0, 0.0, ()),
    model=_CONTRACT.model,
    preprocess_sha256=_CONTRACT.preprocess_sha256,
    spectrogram_sha256=_digest("spectrograms"),
    software_version=SOFTWARE_VERSION,
    timings_ms={"decode": 9.1, "resample": 1.2, "segment": 2.4, "quality": 4.4, "mel": 1.9, "color": 0.2, "infer": 5.6},
    processor="x86-64-v3",
    near_threshold=NearThreshold(margin=_CONTRACT.score_margin, segments=(), class_probability=False),
)
_NO_COUGH = dataclasses.replace(_OK, status=Status.NO_COUGH, result=None, segments=(_OK.segments[2],))
_POOR = dataclasses.replace(
    _OK,
    status=Status.POOR_QUALITY,
    reasons=(Reason.LOW_SNR, Reason.HUM, Reason.UNVALIDATED_MODEL),
    result=None,
    audio=dataclasses.replace(_OK.audio, snr_db=3.1, tones=(HeardTone(0.0, 0.605, (425.0,)),), hum_hz=60, hum_db=-8.5),
)

_DIAGNOSED = CallRecord(
    call_id=CALL_ID,
    state=State.DIAGNOSED,
    received_at="2026-01-15T09:30:00.123456Z",
    updated_at="2026-01-15T09:30:00.161803Z",
    attempts=1,
    failure=None,
    audio=StoredAudio(f"calls/{CALL_ID}/{_OK.audio.sha256}", _OK.audio.sha256, _BYTES, "audio/ogg"),
    diagnosis=_OK.to_dict(),
)
_FAILED = dataclasses.replace(
    _DIAGNOSED,
    state=State.FAILED,
    updated_at="2026-01-15T11:08:12.734509Z",
    attempts=MAX_ATTEMPTS,
    failure=Failure("inference_unavailable", True),
    diagnosis=None,
)
_LATER = "2026-02-20T22:00:00.000000Z"
_AGAIN = dataclasses.replace(_OK, model=dataclasses.replace(_OK.model, version="9", sha256=_digest("model.onnx of 9")))

MODEL = _CONTRACT.to_dict()


def _shown(record: CallRecord) -> dict[str, Any]:
    return call_document(record, LANGUAGE)


CALLS: dict[str, dict[str, Any]] = {
    "diagnosed": _shown(_DIAGNOSED),
    "in_english": call_document(_DIAGNOSED, Language.ENGLISH),
    "no_cough": _shown(dataclasses.replace(_DIAGNOSED, diagnosis=_NO_COUGH.to_dict())),
    "poor_quality": _shown(dataclasses.replace(_DIAGNOSED, diagnosis=_POOR.to_dict())),
    "received": _shown(dataclasses.replace(_DIAGNOSED, state=State.RECEIVED, diagnosis=None)),
    "failed": _shown(_FAILED),
    "scored_again": _shown(
        dataclasses.replace(
            _DIAGNOSED,
            updated_at=_LATER,
            history=[
                {"at": _DIAGNOSED.updated_at, "diagnosis": _OK.to_dict()},
                {"at": _LATER, "diagnosis": _AGAIN.to_dict()},
            ],
        )
    ),
}

NEXT = page_token(_DIAGNOSED.sort_key)
PAGES: dict[str, dict[str, Any]] = {
    "page": {"items": [CALLS["diagnosed"]], "next": NEXT},
    "last_page": {"items": [], "next": None},
}

PROBES: dict[str, dict[str, Any]] = {
    "alive": {"status": "alive"},
    "ready": {"status": "ready", "inference": "ok", "stores": "ok", "causes": []},
    "degraded": {"status": "ready", "inference": "ok", "stores": "degraded", "causes": ["record_store_away"]},
}

_DETAILS: dict[type[Exception], str] = {
    Unauthorized: "send_key",
    BodyTimeout: "body_too_slow",
    CallNotFound: "no_such_call",
    CallErased: ERASED,
    CallConflict: "call_id_taken",
    NotDiagnosed: "nothing_to_draw",
    BodyTooLarge: "recording_too_large",
    RangeNotSatisfiable: RangeNotSatisfiable(_BYTES).key,
    MissingAudio: "no_audio_field",
    InvalidCallId: "call_id_form",
    InvalidRequest: "parameters_not_valid",
    Overloaded: "overloaded",
    StoreUnavailable: "record_store_unusable",
    NotReady: "triton_not_seen",
    **{kind: f"again_{code}" for code, kind in AUDIO_ERRORS_BY_CODE.items()},
}


_VALUES = {"state": "failed", "most": 20, "size": _BYTES, "places": "limit"}


def _problem(answer: HttpError, detail: str) -> dict[str, Any]:
    values = {**_VALUES, "title": say("title", answer.code, LANGUAGE)}
    return problem_document(answer, say("detail", detail, LANGUAGE, values), REQUEST_ID, LANGUAGE)


# Problems by code.
PROBLEMS: dict[str, dict[str, Any]] = {
    **{answer.code: _problem(answer, _DETAILS[kind]) for kind, answer in HTTP_ERRORS.items()},
    NOT_FOUND.code: _problem(NOT_FOUND, "see_docs"),
    METHOD_NOT_ALLOWED.code: _problem(METHOD_NOT_ALLOWED, "see_docs"),
    INTERNAL_ERROR.code: _problem(INTERNAL_ERROR, "report_request_id"),
}
