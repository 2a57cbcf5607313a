"""One table for every error."""

from __future__ import annotations

from collections.abc import Iterator

import preprocess.errors
from frontend.answers.http_errors import HTTP_ERRORS
from frontend.domain.errors import AUDIO_ERRORS_BY_CODE, FrontendError, ServiceError
from runtime.messages.catalogue import sections
from runtime.messages.languages import Language


def leaves(kind: type[Exception]) -> Iterator[type[Exception]]:
    below = kind.__subclasses__()
    if not below:
        yield kind
    for item in below:
        yield from leaves(item)


def test_every_leaf_is_in_the_table_and_nothing_else() -> None:
    expected = {*leaves(FrontendError), *leaves(preprocess.errors.AudioError)}
    assert set(HTTP_ERRORS) == expected


def test_codes_and_titles_are_told_apart() -> None:
    answers = list(HTTP_ERRORS.values())
    assert len({item.code for item in answers}) == len(answers)
    for language in Language:
        titles = sections(language)["title"]
        assert len({titles[answer.code] for answer in answers}) == len(answers)


def test_statuses_and_codes_stay_as_callers_know_them() -> None:
    assert {(http_error.status, http_error.code) for http_error in HTTP_ERRORS.values()} == {
        (401, "unauthorized"), (404, "call_not_found"), (410, "call_erased"), (409, "call_conflict"),
        (409, "not_diagnosed"),
        (408, "body_timeout"), (413, "body_too_large"), (415, "unsupported_media"), (416, "range_not_satisfiable"),
        (422, "missing_audio"), (422, "empty_audio"), (422, "undecodable_audio"), (422, "audio_too_long"),
        (422, "too_many_channels"), (422, "unsupported_sample_rate"), (422, "invalid_call_id"),
        (422, "invalid_request"),
        (503, "overloaded"), (503, "store_unavailable"), (503, "not_ready"),
    }  # fmt: skip


def test_what_is_wrong_with_a_recording_can_be_said_again() -> None:
    assert set(AUDIO_ERRORS_BY_CODE.values()) == set(leaves(preprocess.errors.AudioError))
    again = {key.removeprefix("again_") for key in sections(Language.ENGLISH)["detail"] if key.startswith("again_")}
    assert again == AUDIO_ERRORS_BY_CODE.keys()


def test_only_what_passes_asks_to_come_back() -> None:
    for kind, answer in HTTP_ERRORS.items():
        assert issubclass(kind, ServiceError) == (answer.status == 503)
