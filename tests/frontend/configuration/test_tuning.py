"""config.yml < the operator's file < environment < command line; each wrong value is named with who has set it."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from frontend.__main__ import parse_arguments
from frontend.cli import write_settings
from frontend.cli.commands import given
from frontend.configuration.deadlines_limits_intervals import OF_THE_MODEL, SECTIONS, SETTINGS, variable_of
from frontend.configuration.tuning import Change, Tuning, image_tuning, read_tuning
from runtime.config import CONFIG_FILE, load_limits

DOCUMENT = yaml.safe_load(CONFIG_FILE.read_text(encoding="utf-8"))
FILE = "the file"


def tuned(text: str = "", environ: dict[str, str] | None = None, **command_line: Any) -> Tuning:
    given_there = {f"service.{key}": value for key, value in command_line.items()}
    tuning, wrong = read_tuning({"TOSIA_CONFIG": FILE, **(environ or {})}, given_there, operators=text)
    assert wrong == []
    assert tuning is not None
    return tuning


def refusals(text: str = "", environ: dict[str, str] | None = None) -> list[str]:
    tuning, wrong = read_tuning({"TOSIA_CONFIG": FILE, **(environ or {})}, operators=text)
    assert tuning is None
    assert not any("\n" in problem or problem.endswith(".") for problem in wrong)
    return wrong


def test_the_table_has_what_config_yml_has_in_the_same_order() -> None:
    assert [*SETTINGS] == [f"{name}.{key}" for name in DOCUMENT if name in SECTIONS for key in DOCUMENT[name]]
    assert set(DOCUMENT) == {*OF_THE_MODEL, *SECTIONS}


def test_without_anything_it_is_as_the_image_has_it() -> None:
    image = image_tuning()
    assert read_tuning({}) == (image, [])
    assert (image.quality, image.limits) == load_limits()
    assert image.changes == ()
    assert image.end_s == 12


def test_each_goes_before_the_one_before() -> None:
    name, variable = "service.drain_seconds", "TOSIA_SERVICE__DRAIN_SECONDS"
    text = "service: {drain_seconds: 1}\n"
    assert tuned().service.drain_seconds == 0.0
    assert tuned(text).changes == (Change(name, 1.0, 0.0, FILE),)
    assert tuned(text, {variable: "2"}).changes == (Change(name, 2.0, 0.0, variable),)
    last = tuned(text, {variable: "2"}, drain_seconds=3.0)
    assert last.changes == (Change(name, 3.0, 0.0, "--drain-seconds"),)
    assert last.service.drain_seconds == 3.0
    assert tuned(text, {variable: ""}) == tuned(text)  # set to nothing is not set


def test_what_the_command_line_gives() -> None:
    assert given(parse_arguments([])) == {}
    options = parse_arguments(["--workers", "3", "--drain-seconds", "0"])
    assert given(options) == {"service.workers": 3, "service.drain_seconds": 0.0}


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_can_be_set_in_the_file_and_in_the_environment(name: str) -> None:
    section, _, key = name.partition(".")
    image = dataclasses.asdict(image_tuning())[section][key]
    value = 1 if key == "min_sample_rate_hz" else image - 1 if name.endswith("dbfs") else image / 2
    value = value if isinstance(image, float) else int(value) or image + 1
    value = value or 1.0
    for item in (tuned(f"{section}: {{{key}: {value}}}"), tuned(environ={variable_of(name): str(value)})):
        (change,) = item.changes
        assert (change.setting, change.value, change.default) == (name, value, image)
        assert getattr(getattr(item, section), key) == value
        assert type(change.value) is type(image)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- 1", "the file holds no sections"),
        ("a: b: c", "the file is not valid YAML at line 1"),
        ("limit: {max_channels: 1}", "the file: limit is no section: there are quality, limits, service"),
        ("limits: {max_chanels: 1}", r"the file: limits\.max_chanels is no setting"),
        ("limits: 3", "the file: limits holds no settings"),
        ("limits: {max_channels: true}", r"the file: limits\.max_channels is True, which is not a whole number"),
        ("limits: {max_channels: 1.0}", r"limits\.max_channels is 1\.0, which is not a whole number"),
        ("limits: {max_channels: '1'}", r"limits\.max_channels is '1', which is not a whole number"),
        ("limits: {max_wait_s: .nan}", r"limits\.max_wait_s is nan, which is not a number"),
        ("limits: {max_wait_s: .inf}", r"limits\.max_wait_s is inf, which is not a number"),
        ("limits: {max_wait_s: \"1\\n\"}", r"limits\.max_wait_s ends with a line feed"),
        ("limits: {max_wait_s: -1}", r"the file: limits\.max_wait_s is -1: set it to 0 or more"),
        ("limits: {retention_days: 0}", r"the file: limits\.retention_days is 0: set it to 1 or more"),
        ("limits: {max_body_bytes: 999999999}", r"max_in_flight_bytes is below .*max_body_bytes is set by the file"),
        ("limits: {min_sample_rate_hz: 200000}", "nothing could be taken .*is set by the file"),
        ("quality: {max_dropout_fraction: 2}", r"quality\.max_dropout_fraction is 2: set it to 1 or less"),
        ("mel_spec: {n_fft: 512}", "the file: mel_spec belongs to the model, .* can't be set here"),
    ],
)  # fmt: skip
def test_a_file_that_is_refused(text: str, message: str) -> None:
    (wrong,) = refusals(text)
    assert re.search(message, wrong), wrong


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("TOSIA_LIMITS__MAX_CHANNELS", "2.0", "is '2.0', which is not a whole number"),
        ("TOSIA_LIMITS__MAX_WAIT_S", "nan", "is 'nan', which is not a number"),
        ("TOSIA_LIMITS__MAX_WAIT_S", "1\n", "ends with a line feed"),
        ("TOSIA_LIMITS__MAX_WAIT_S", '"1"', "ends with a double quote"),
        ("TOSIA_LIMITS__MAX_CHANELS", "2", "is no setting"),
        ("TOSIA_LIMIT__MAX_CHANNELS", "2", "is no setting"),
        ("tosia_limits__max_channels", "2", "is no setting"),
        ("TOSIA_SEGMENTATION__HOP_MS", "5", "segmentation belongs to the model"),
    ],
)
def test_a_variable_that_is_refused(name: str, value: str, says: str) -> None:
    (wrong,) = refusals(environ={name: value})
    assert wrong.startswith(name)
    assert says in wrong


def test_all_that_is_wrong_is_named() -> None:
    wrong = refusals("limits: {max_channels: two, x: 1}", {"TOSIA_SERVICE__WORKERS": "-1"})
    assert [problem.partition(" is ")[0] for problem in wrong] == [
        "the file: limits.max_channels",
        "the file: limits.x",
        "TOSIA_SERVICE__WORKERS: service.workers",
    ]


@pytest.mark.parametrize("text", ["", "# nothing differs\n", "{}\n"])
def test_an_empty_file_changes_nothing(text: str) -> None:
    assert tuned(text) == image_tuning()


def test_the_file_is_read_where_it_is_named(tmp_path: Path) -> None:
    path = tmp_path / "operators.yml"
    path.write_text("limits: {request_deadline_s: 3}\n")
    tuning, wrong = read_tuning({"TOSIA_CONFIG": str(path)})
    assert wrong == []
    assert tuning is not None
    assert (tuning.limits.request_deadline_s, tuning.end_s) == (3.0, 5)
    (wrong_one,) = read_tuning({"TOSIA_CONFIG": str(tmp_path / "nothing.yml")})[1]
    assert wrong_one.startswith(f"TOSIA_CONFIG names {tmp_path / 'nothing.yml'}, which can't be read (No such file")


def test_workers_are_as_many_as_cores_unless_it_is_said() -> None:
    assert image_tuning().worker_count >= 1
    assert tuned("service: {workers: 3}").worker_count == 3


def test_the_page_is_as_make_settings_writes_it() -> None:
    text = write_settings.FILE.read_text(encoding="utf-8")
    assert text == write_settings.page(text), "run `make settings`"
    for name in SETTINGS:
        assert f"| `{name.partition('.')[2]}` |" in text
