"""What everybody does, once: give the key, send a recording, see its coughs, read it in the other language.

The pages one by one are in the other files of this folder (`make test-system`).
"""

from __future__ import annotations

import httpx
from playwright.sync_api import expect

from laptop.service import Service
from tests.conftest import SAMPLES
from tests.e2e.conftest import OpenContext, entered, screen, send
from tests.integration.problems import post


def test_a_recording_is_sent_seen_and_read_in_two_languages(
    open_context: OpenContext, service: Service, api: httpx.Client, api_key: str
) -> None:
    context = open_context(service.url, viewport={"width": 1000, "height": 900})  # as the README's picture is
    page = entered(context.new_page(), api_key)
    send(page, SAMPLES / "benchmark_1" / "raw.ogg", "e2e-one-pass")
    expect(page.locator("h1")).to_have_text("Llamada e2e-one-pass")
    expect(page.locator("#verdict .badge")).to_have_text("Tos evaluada")
    expect(page.locator("#message")).to_contain_text("Se oyeron")
    coughs = [
        segment for segment in api.get("/v1/calls/e2e-one-pass").json()["diagnosis"]["segments"] if segment["is_cough"]
    ]
    assert coughs
    expect(page.locator(".mark.cough")).to_have_count(len(coughs))
    for picture in page.locator("#coughs img").all():  # each is fetched when it comes into sight
        picture.scroll_into_view_if_needed()
        expect(picture).to_have_js_property("complete", True)
        page.wait_for_function("(image) => image.naturalWidth > 0", arg=picture.element_handle())
    screen(page, "console")
    page.locator("#language").click()
    expect(page.locator("#message")).to_contain_text("coughs were heard")
    expect(page.locator("html")).to_have_attribute("lang", "en")
    page.get_by_role("link", name="Calls", exact=True).click()
    expect(page.locator(".calls")).to_contain_text("e2e-one-pass")


def test_a_clipped_recording_is_said_to_be_so(
    open_context: OpenContext, service: Service, api: httpx.Client, api_key: str
) -> None:
    """The reason, and beside it the share of clipped samples: one code, two meanings, two texts."""
    post(api, (SAMPLES / "clipped" / "raw.wav").read_bytes(), "e2e-clipped")
    page = entered(open_context(service.url).new_page(), api_key)
    page.goto("/#/calls/e2e-clipped")
    facts = page.locator("#facts")
    expect(facts.locator("dt", has_text="Motivos").locator("+ dd")).to_have_text("saturada, modelo no validado")
    expect(facts.locator("dt", has_text="Muestras saturadas")).to_be_visible()
