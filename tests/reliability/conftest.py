"""The counts of the fault tests, printed at the end whether they passed or not."""

from __future__ import annotations

import pytest

from tests.reliability.ledger import table


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [one for outcome in ("passed", "failed") for one in terminalreporter.stats.get(outcome, [])]
    rows = [value for report in reports for key, value in getattr(report, "user_properties", []) if key == "counts"]
    if rows:
        terminalreporter.section("faults")
        terminalreporter.write_line(table(rows))
