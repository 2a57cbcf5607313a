"""The running system for every folder, and what a skipped test means in CI."""

from __future__ import annotations

import importlib.util
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from laptop.service import CHECKOUT, Service
from local_triton.ports import free_ports

if TYPE_CHECKING:  # the training environment has no httpx
    import httpx

    from tests.services.azure import Azure

SAMPLES = CHECKOUT / "samples" / "preprocessing"

# What needs material beside the checkout (../shared: labelled data, definitions of custom kinds): docs/testing.md.
SHARED = "shared"
# Roughly by the seconds that they take (`--durations`); with `--dist loadfile --no-loadscope-reorder` they start in
# this order.
LONGEST_FIRST = (
    "processors/test_emulated_haswell.py",
    "processors/test_emulated.py",
    "reliability/test_kills.py",
    "reliability/test_faults.py",
    "callbacks/test_callbacks.py",
    "intake/test_kills.py",
    "integration/test_drift.py",
    "intake/test_intake.py",
    "e2e/test_send.py",
    "integration/test_azure.py",
    "processors/test_feature_levels.py",
    "e2e/test_call.py",
    "integration/test_sleeping_triton.py",
    "docs/test_readme.py",
    "e2e/test_triton_away.py",
    "fuzz/test_fuzz.py",
    "frontend/stores/test_azure_faults.py",
    "integration/test_outage.py",
    "integration/test_drift.py",
    "laptop/test_run.py",
    "integration/test_stalled_readers.py",
    "integration/test_draining_triton.py",
    "integration/test_backfill.py",
    "integration/test_traces.py",
    "intake/test_page.py",
    "e2e/test_everybody.py",
    "integration/test_schemathesis.py",
    "k8s/test_manifests.py",
    "k8s/test_deploy.py",
    "local_triton/test_server.py",
    "laptop/test_start_failures.py",
    "export/test_repository.py",
    "export/test_plan.py",
    "integration/test_skew_guard.py",
    "integration/test_robustness.py",
    "integration/test_client_gone.py",
)

_skipped = pytest.StashKey[list[str]]()
_left_out = pytest.StashKey[int]()


@pytest.fixture(scope="session")
def api_key() -> str:
    """The key of `service`."""
    return secrets.token_urlsafe(32)


@pytest.fixture(scope="session")
def service(api_key: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The real Triton on the committed model repository and the real front end, one for the whole session."""
    port, metrics_port = free_ports(2)
    var = tmp_path_factory.mktemp("var")
    with Service(port=port, metrics_port=metrics_port, api_key=api_key, var=var) as running:
        yield running


@pytest.fixture(scope="session")
def api(service: Service, api_key: str) -> Iterator[httpx.Client]:
    """A client of `service` that sends the key; its timeout is the 5 s within which bad input must be answered."""
    import httpx

    with httpx.Client(base_url=service.url, headers={"X-API-Key": api_key}, timeout=5.0, trust_env=False) as client:
        yield client


@pytest.fixture(scope="session")
def azure() -> Iterator[Azure]:
    """Azurite and the Cosmos server, one pair for the whole session; each test makes containers of its own."""
    from tests.services.azure import Azure, require_azure

    require_azure()
    with Azure() as services:
        yield services


@pytest.fixture(scope="session")
def benchmark() -> bytes:
    """The recording that everything is tried with; its diagnosis is `ok`."""
    return (SAMPLES / "benchmark_1" / "raw.ogg").read_bytes()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--without",
        choices=[SHARED],
        help="leave out tests of this marker, and say how many: where ../shared is not there",
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Each environment lacks what the other's tests import, so what their mark deselects must not even be imported.

    `make test` has no torch, `make test-training` has neither the cloud's packages nor the front end's.
    """
    if not collection_path.name.startswith("test_") or collection_path.suffix != ".py":
        return None
    needs_torch = "pytestmark = pytest.mark.training" in collection_path.read_text()
    if config.option.markexpr == "training":
        return None if needs_torch else True
    return True if needs_torch and config.option.markexpr and importlib.util.find_spec("torch") is None else None


@pytest.hookimpl(trylast=True)  # of what the mark has left
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The long files first, so that the test processes end together; the rest keeps its order.

    Leaves out `--without`.
    """
    without = config.option.without
    if without:
        left_out = [item for item in items if item.get_closest_marker(without)]
        items[:] = [item for item in items if not item.get_closest_marker(without)]
        config.hook.pytest_deselected(items=left_out)
        config.stash[_left_out] = len(left_out)
    places = {name: n for n, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(item.path.relative_to(Path(__file__).parent).as_posix(), len(places)))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    output = getattr(session.config, "workeroutput", None)  # a process of pytest-xdist's
    if output is not None:
        output["left_out"] = session.config.stash.get(_left_out, 0)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Every process has collected the same."""
    node.config.stash[_left_out] = getattr(node, "workeroutput", {}).get("left_out", 0)


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_skipped] = []
    config.pluginmanager.register(_SkipsAreFailuresInCI(config), "skips-are-failures-in-ci")


class _SkipsAreFailuresInCI:
    """CI has everything that the tests need, so a skip there means that something was not tested."""

    def __init__(self, config: pytest.Config) -> None:
        self._skipped = config.stash[_skipped]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped and not hasattr(report, "wasxfail"):
            self._skipped.append(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self._skipped.append(report.nodeid)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._skipped and os.environ.get("CI") == "true":
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._skipped and os.environ.get("CI") == "true":
            terminalreporter.section("skipped, which is a failure with CI=true", red=True)
            for nodeid in self._skipped:
                terminalreporter.write_line(nodeid)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was left out by name and number, and the counts of the fault tests, whether these passed or not."""
    without = terminalreporter.config.option.without
    if without:
        count = terminalreporter.config.stash.get(_left_out, 0)
        terminalreporter.section(f"not selected: {count} tests marked `{without}`", yellow=True)
        terminalreporter.write_line("They need ../shared beside the checkout; `.ci/run` has it and runs them.")
    reports = [item for outcome in ("passed", "failed") for item in terminalreporter.stats.get(outcome, [])]
    rows = [value for report in reports for key, value in getattr(report, "user_properties", []) if key == "counts"]
    if rows:
        from tests.reliability.ledger import table

        terminalreporter.section("faults")
        terminalreporter.write_line(table(rows))
