"""What the API docs say that answers look like; the answers themselves are made elsewhere and tested against these."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from frontend.answers.http_errors import CODES
from frontend.domain.records import CALL_ID, Failure, State
from frontend.stores.troubles import Trouble
from runtime.diagnosis import Diagnosis, Thresholds
from runtime.messages.languages import Language

MAX_FORM_FIELDS = 8  # beside the audio: call_id, and some that a client may send along
# Documented, not enforced: what enforces it says more than a schema's error would.
CALL_ID_SCHEMA: dict[str, Any] = {"pattern": f"^{CALL_ID}$", "minLength": 1, "maxLength": 128}

Moment = Annotated[str, Field(description="RFC 3339, UTC", json_schema_extra={"format": "date-time"})]
Sha256 = Annotated[str, Field(json_schema_extra={"pattern": "^[0-9a-f]{64}$"})]
Health = Literal["ok", "degraded"]


class AudioAnswer(BaseModel):
    """What was received."""

    sha256: Sha256
    bytes: int
    content_type: str
    format: str | None = Field(default=None, description="What the sender said that it is; only without a header")


class Result(BaseModel):
    """One of a call's results."""

    at: Moment
    diagnosis: Diagnosis


class Guidance(BaseModel):
    """What the record says in plain words, in the language of Accept-Language; codes are for programs."""

    language: str = Field(json_schema_extra={"enum": [item.value for item in Language]})
    message: str
    hints: list[str] = Field(description="What to do, the most useful first")
    intended_use: str = Field(description="To be shown with every answer")


class CallAnswer(BaseModel):
    """A call's record."""

    call_id: str = Field(json_schema_extra=CALL_ID_SCHEMA)
    state: State
    received_at: Moment
    updated_at: Moment
    attempts: int
    failure: Failure | None
    audio: AudioAnswer
    diagnosis: Diagnosis | None = Field(
        description="What was answered; it stays when other releases score the call again"
    )
    history: list[Result] | None = Field(
        default=None, description="Every result, oldest first; only once the call was scored again"
    )
    guidance: Guidance


class PageAnswer(BaseModel):
    """Calls, newest first; `next` continues the listing as `after`."""

    items: list[CallAnswer]
    next: str | None


class Share(BaseModel):
    """A share of recordings with its 95 % interval."""

    value: float
    low: float
    high: float
    source: str = Field(description="What it was measured on")


class OperatingPoint(BaseModel):
    """What the cough threshold gives by recording."""

    recording_sensitivity: Share | None = Field(
        default=None, description="Of the recordings with coughs, those in which one is accepted"
    )
    recording_false_alarms: Share | None = Field(
        default=None, description="Of the recordings without coughs, those in which one is accepted"
    )


class ModelAnswer(BaseModel):
    """The model that is serving."""

    name: str
    version: str
    sha256: Sha256 = Field(description="Of its ONNX file")
    validated: bool
    labels: list[str] = Field(description="In the order of `class_probabilities`")
    cough_threshold: float = Field(description="A segment is a cough from this `cough_probability` on")
    uncertain_threshold: float = Field(
        description="Without a cough, a recording with a segment from this `cough_probability` on is `inconclusive`"
    )
    thresholds: Thresholds
    score_margin: float = Field(description="A score nearer than this to its threshold is named in `near_threshold`")
    operating_point: OperatingPoint | None = Field(description="By recording, or null where the release has none")
    preprocess: dict[str, dict[str, float | int | str | list[float]]] = Field(
        description="The parameters it was trained with"
    )
    preprocess_sha256: Sha256
    checkpoint_sha256: Sha256
    data_sha256: Sha256
    software_version: str = Field(description="Of what exported it")
    input_shape: list[int] = Field(description="Mel bands and frames of one spectrogram")
    max_batch_size: int = Field(description="Most spectrograms in one request")


class AliveAnswer(BaseModel):
    """This process is alive."""

    status: Literal["alive"]


class ReadyAnswer(BaseModel):
    """Calls are taken in; what is degraded is finished later, or not there for a while."""

    status: Literal["ready"]
    inference: Health
    stores: Health
    causes: list[Trouble] = Field(
        description="What is wrong with the stores; with `stores` at `ok`, other calls are served as usual"
    )


class Problem(BaseModel):
    """RFC 9457, with `code` to branch on and `request_id` to ask us about."""

    type: str
    title: str
    status: int
    detail: str = Field(description="One sentence that says what to do")
    code: str = Field(json_schema_extra={"enum": list(CODES)})
    request_id: str | None = Field(description="As in the header X-Request-ID")
