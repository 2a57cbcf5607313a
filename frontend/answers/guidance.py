"""Say in plain words what a call's record means and what to do about it: record -> guidance in a language.

Guidance is made for each answer and never stored. Programs use the codes, which stay the same; people read the words,
which may be improved.
"""

from __future__ import annotations

from typing import Any

from frontend.domain.records import CallRecord
from runtime.diagnosis import Reason, Status
from runtime.messages.catalogue import Sections, sections
from runtime.messages.languages import Language

# Noise that has such a name is no reason to come closer, which the advice against noise says.
_NAMED_NOISE = {Reason.HUM.value, Reason.TONE.value}


def guidance(record: CallRecord, language: Language) -> dict[str, Any]:
    """Return `language`, `message`, `hints` (advice, the most useful first; may be empty) and `intended_use`."""
    texts, diagnosis = sections(language), record.diagnosis
    if diagnosis is None:
        message, hints, validated = texts["message"][record.state], _of_failure(record, texts), True
    else:
        coughs = sum(1 for segment in diagnosis["segments"] if segment["is_cough"])
        status, validated = diagnosis["status"], diagnosis["model"]["validated"]
        key = ("one_cough" if coughs == 1 else "coughs") if status == Status.OK else status
        message = texts["message"][key].format(count=coughs)
        # A newer release may have written a reason that is unknown to this one; the record is answered nevertheless.
        codes = [Status.NO_COUGH, *diagnosis["reasons"]] if status == Status.NO_COUGH else diagnosis["reasons"]
        named = _NAMED_NOISE.intersection(codes)
        hints = [
            texts["hint"][code] for code in codes if code in texts["hint"] and not (named and code == Reason.LOW_SNR)
        ]
    return {
        "language": language.value,
        "message": message,
        "hints": hints,
        "intended_use": texts["intended_use"]["validated" if validated else "not_validated"],
    }


def _of_failure(record: CallRecord, texts: Sections) -> list[str]:
    if record.failure is None:
        return []
    # A call whose record or audio can't be used keeps its id.
    if record.failure.retryable:
        return [texts["failed_call"]["retryable"]]
    return [texts["detail"].get(f"again_{record.failure.code}", texts["failed_call"]["other"])]
