"""`--help` names every setting with the default that is really taken; `--check` says what is wrong before anything is
asked.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from frontend.__main__ import parse_arguments
from frontend.cli.check import check
from frontend.cli.commands import run
from frontend.configuration.deadlines_limits_intervals import SETTINGS
from frontend.configuration.settings import SettingsError
from frontend.configuration.tuning import image_tuning
from frontend.configuration.variables import VARIABLES, described
from runtime.config import ROOT

EMBEDDED = {"API_KEY": "old:first-secret,new:second-secret", "TOSIA_STORES": "embedded", "TRITON_URL": "127.0.0.1:1"}


def help_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as caught:
        parse_arguments([*arguments, "--help"])
    assert caught.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("columns", [60, 100, 120, 300])
def test_help_says_every_setting(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    printed = help_of(capsys)
    variables = printed.partition("environment variables:\n")[2].partition("\n\n")[0]
    entries = dict(re.findall(r"^  (\S+) +(\S.*(?:\n {5,}.*)*)", variables, flags=re.MULTILINE))
    assert entries.keys() == VARIABLES.keys()
    for name, variable in VARIABLES.items():
        text = " ".join(entries[name].split())
        assert text == variable.meaning + ("" if variable.default is None else f" (default: {variable.default})")
    settings = printed.partition("for limits.max_wait_s):\n")[2].partition("\n\n")[0]
    entries = dict(re.findall(r"^  (\S+) +(\S.*(?:\n {5,}.*)*)", settings, flags=re.MULTILINE))
    assert entries.keys() == SETTINGS.keys()
    for change_of, value in dataclasses.asdict(image_tuning()).items():
        for key, default in value.items() if isinstance(value, dict) else ():
            assert " ".join(entries[f"{change_of}.{key}"].split()).endswith(f"(default: {default})")
    longest = max(len(VARIABLES["TOSIA_VAR"].default or "") + 30, 60)  # a path is not broken
    assert max(map(len, variables.splitlines())) <= max(min(columns, 120), longest)


def test_help_says_every_option_with_its_default(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    entries = re.findall(r"^  (--[a-z-]+)(?: [A-Z_]+)?\s+(.*(?:\n {24}.*)*)", help_of(capsys), flags=re.MULTILINE)
    said = {name: re.search(r"\(default: (.*)\)", text) for name, text in entries}
    by_option = {setting.option: name for name, setting in SETTINGS.items() if setting.option}
    options = vars(parse_arguments([]))
    assert {name.removeprefix("--").replace("-", "_") for name in said} == options.keys() - {"command"}
    for name, found in said.items():
        value = options[name.removeprefix("--").replace("-", "_")]
        if value is not False:  # a switch
            assert found is not None, name
            assert found[1] == by_option.get(name, str(value))
            assert (value is None) == (name in by_option)


def test_help_waits_for_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """What it imports is imported before the preloading begins, and the API's start waits for it."""
    code = (
        "import sys, frontend.__main__ as m\n"
        "try: m.main(['--help'])\n"
        "finally: print(sorted({'numpy', 'pydantic', 'fastapi', 'runtime'} & sys.modules.keys()), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--port", "0"],
        ["--port", "65536"],
        ["--workers", "0"],
        ["--drain-seconds", "-1"],
        ["--drain-seconds", "nan"],
        ["--drain-seconds", "inf"],
        ["--drain", "1"],
        ["backfill", "--sinc", "2026-01-01"],
    ],
)
def test_arguments_that_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse_arguments(arguments)
    assert caught.value.code == 2
    assert "error: " in capsys.readouterr().err.splitlines()[-1]


def rows_of(table: str) -> list[str]:
    """Each on one line, without the head."""
    return re.sub(r"\n +", " ", table).splitlines()[1:]


@pytest.mark.parametrize("columns", [100, 120])
def test_check_shows_settings_and_no_secret(
    columns: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert asyncio.run(check({**EMBEDDED, "TOSIA_VAR": str(tmp_path)}, {"service.workers": 3})) == 1  # no Triton
    printed = capsys.readouterr().out
    rows = rows_of(printed)
    assert [row.split(maxsplit=2)[:2] for row in rows] == [
        ["keys", "ok"],
        ["stores", "ok"],
        ["workers", "ok"],
        ["limits", "ok"],
        ["setting", "changed"],
        ["inference", "failed"],
        ["audio", "reached"],
        ["records", "reached"],
    ]
    assert rows[0].endswith("old, new")
    assert rows[2].endswith("3 processes")
    assert "20 MiB and 120 s a recording" in rows[3]
    assert rows[4].endswith("service.workers is 3 by --workers; 0 by default")
    assert "secret" not in printed
    words = printed.replace(str(tmp_path), "")  # a path has no place to break
    assert max(map(len, words.splitlines())) <= columns


def test_check_names_all_that_is_wrong_and_asks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = tmp_path / "config.yml"
    changed.write_text((ROOT / "config.yml").read_text().replace("n_fft: 256", "n_fft: two"))
    monkeypatch.setattr("runtime.config.load_config.__defaults__", (changed,))
    operators = tmp_path / "operators.yml"
    operators.write_text("limits: {max_channels: two}\n")
    environ = {"TOSIA_STORES": "embedded", "TOSIA_VAR": str(tmp_path / "var"), "TRITON_URL": "x"}
    with pytest.raises(SettingsError) as caught:
        asyncio.run(check({**environ, "TOSIA_CONFIG": str(operators)}))
    rows = rows_of(capsys.readouterr().out)
    assert [row.split(maxsplit=2)[:2] for row in rows] == [["settings", "wrong"]] * 3 + [["config.yml", "wrong"]]
    assert str(caught.value) == "; ".join(row.split(maxsplit=2)[2].removesuffix(".") for row in rows) + "."
    for words in (
        "API_KEY is missing",
        "TRITON_URL is not",
        "operators.yml: limits.max_channels is 'two'",
        "config.yml: mel_spec.n_fft is 'two'",
    ):
        assert words in str(caught.value)
    assert not (tmp_path / "var").exists()


def test_check_ends_with_2_and_one_line() -> None:
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    done = subprocess.run(
        [sys.executable, "-m", "frontend", "--check"],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert re.fullmatch(r"frontend: API_KEY is missing[^\n]*COSMO_KEY is missing[^\n]*\.\n", done.stderr)
    assert done.stdout.count("settings ") == 6


def test_check_for_a_reader_that_has_gone(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "frontend", "--check"],
            cwd=ROOT, env={**os.environ, **EMBEDDED, "TOSIA_VAR": str(tmp_path)}, stdout=writer, stderr=subprocess.PIPE,
            check=False,
        )  # fmt: skip
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


def test_help_fits_a_terminal_that_has_no_width() -> None:
    assert described(1).count("\n") > len(VARIABLES)


def test_one_port_can_not_serve_both(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name, value in EMBEDDED.items():
        monkeypatch.setenv(name, value)
    options = parse_arguments(["--port", "9090"])
    assert run(options, os.environ, None) == 2
    assert (
        capsys.readouterr().err
        == "frontend: --port and --metrics-port are both 9090: choose another for one of them.\n"
    )
