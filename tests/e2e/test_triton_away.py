"""Triton goes away: the recording is kept, the page waits, and the result appears by itself. And the fourth status."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from local_triton import TritonServer
from runtime.config import MODEL_REPOSITORY
from tests.conftest import SAMPLES
from tests.e2e.conftest import OpenContext, entered, screen, send
from tests.integration.processes import KEY, FrontEnd, front_end, wait_for
from tests.integration.test_skew_guard import checkout_with

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    with TritonServer(MODEL_REPOSITORY, log=tmp_path_factory.mktemp("log") / "triton.log") as server:
        yield server


@pytest.fixture(scope="module")
def demanding(triton: TritonServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FrontEnd]:
    """A front end that asks for nine coughs before it concludes anything, so that six are inconclusive."""
    checkout = checkout_with(tmp_path_factory.mktemp("checkout"), "min_coughs: 1", "min_coughs: 9")
    with front_end(tmp_path_factory.mktemp("var"), triton.grpc_url, checkout) as one:
        one.start("--workers", "1")
        wait_for(lambda: one.get("/readyz") == 200, "the front end is ready")
        yield one


def test_inconclusive_and_a_result_that_comes_later(
    open_context: OpenContext, triton: TritonServer, demanding: FrontEnd
) -> None:
    page = entered(open_context(f"http://127.0.0.1:{demanding.port}").new_page(), KEY)
    triton.stop()
    try:
        send(page, SAMPLES / "benchmark_1" / "raw.ogg", "e2e-away")
        expect(page.locator("#verdict .badge")).to_have_text("En espera")
        expect(page.locator("#message")).to_have_text("La grabación está guardada y el diagnóstico llegará solo.")
        screen(page, "triton-away")
        # While it waits, whoever is at a button stays there, and a poll that fails is no end of it.
        page.locator("#erase").focus()
        with page.expect_response("**/v1/calls/e2e-away"):
            pass
        expect(page.locator("#erase")).to_be_focused()
        page.route("**/v1/calls/e2e-away", lambda route: route.fulfill(status=503, body="{}"), times=1)
        expect(page.get_by_role("alert")).to_contain_text("No se pudo llegar al servicio")
        expect(page.locator("#verdict .badge")).to_have_text("En espera")
    finally:
        triton.start()
    expect(page.locator("#verdict .badge")).to_have_text("No concluyente", timeout=60_000)
    expect(page.locator("#message")).to_have_text("El modelo no puede decidir. Esto no es un resultado negativo.")
    expect(page.locator("#hints li")).to_have_text(
        ["Hay muy pocas toses: tosa dos o tres veces en una misma grabación."]
    )
    expect(page.locator("#announcer")).to_have_text("El modelo no puede decidir. Esto no es un resultado negativo.")
    screen(page, "status-inconclusive")
