"""What a call's record says in plain words, and what to do about it: record -> guidance in a language.

Made for each answer and never stored: codes are for programs and stay, words are for people and may get better.
"""

from __future__ import annotations

from typing import Any

from frontend.domain.errors import REFUSED
from frontend.domain.records import CallRecord, State
from frontend.i18n.language import Language
from frontend.i18n.translate import say
from runtime.diagnosis import Reason, Status

INTENDED_USE = "Orientation, not a medical diagnosis."
NOT_VALIDATED = (
    "Orientation, not a medical diagnosis: the model is not validated, and its answer has no medical meaning."
)

_CLOSER = "Hold the telephone closer and cough two or three times."

MESSAGES: dict[State | Status, str] = {
    Status.OK: "{count} coughs were heard, and the model could score them.",
    Status.NO_COUGH: "No cough was heard. This is not a negative result.",
    Status.POOR_QUALITY: "The recording can't be judged: it can't be heard well enough. This is not a negative result.",
    Status.INCONCLUSIVE: "The model can't decide. This is not a negative result.",
    State.RECEIVED: "The recording is stored, and its diagnosis follows by itself.",
    State.FAILED: "The recording could not be diagnosed.",
}
_ONE_COUGH = "One cough was heard, and the model could score it."

HINTS: dict[Reason, str] = {
    Reason.TOO_SHORT: "Record for five seconds or more, and cough two or three times.",
    Reason.SILENT: "Nothing can be heard: check that the microphone is on and uncovered, and record again.",
    Reason.CLIPPED: "It is too loud: hold the telephone farther away, about 30 cm, and record again.",
    Reason.LOW_SNR: "There is too much noise: go to a quieter place, hold the telephone closer and record again.",
    Reason.NARROWBAND: "The line carries too little of the sound: send a voice note instead of calling.",
    Reason.DROPOUTS: "The sound breaks off again and again: look for better reception, or send a voice note.",
    Reason.TRUNCATED: "The file ends early: send the whole recording.",
    Reason.TOO_FEW_COUGHS: "There are too few coughs: cough two or three times in one recording.",
    Reason.BETWEEN_THRESHOLDS: "Record again; if the answer stays the same, somebody has to examine the person.",
}

AGAIN, UNDER_ANOTHER_ID = "Send the recording again.", "Send the recording again under another call_id."


def guidance(record: CallRecord, language: Language) -> dict[str, Any]:
    """`language`, `message`, `hints` (what to do, the most useful first; may be empty) and `intended_use`."""
    if record.diagnosis is not None:
        message, values, hints = _of_diagnosis(record.diagnosis)
        use = INTENDED_USE if record.diagnosis["model"]["validated"] else NOT_VALIDATED
    else:
        message, values, hints, use = MESSAGES[record.state], {}, _of_failure(record), INTENDED_USE
    return {
        "language": language.value,
        "message": say(message, values, language),
        "hints": [say(one, {}, language) for one in hints],
        "intended_use": say(use, {}, language),
    }


def _of_diagnosis(diagnosis: dict[str, Any]) -> tuple[str, dict[str, object], list[str]]:
    status = diagnosis["status"]
    # A newer release may have written a reason that this one does not know yet: its record is answered all the same.
    hints = [HINTS[one] for one in diagnosis["reasons"] if one in HINTS]
    if status == Status.NO_COUGH:
        hints = [_CLOSER, *hints]
    if status != Status.OK:
        return MESSAGES[status], {}, hints
    count = sum(1 for one in diagnosis["segments"] if one["is_cough"])
    return (_ONE_COUGH if count == 1 else MESSAGES[status]), {"count": count}, hints


def _of_failure(record: CallRecord) -> list[str]:
    if record.failure is None:
        return []
    if record.failure.retryable:
        return [AGAIN]
    # A call whose record or audio can't be used keeps its id.
    return [REFUSED.get(record.failure.code, UNDER_ANOTHER_ID)]
