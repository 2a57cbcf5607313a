"""A call's page: the sound with its coughs marked and playable, what each of them looks like, and erasing it all."""

from __future__ import annotations

import hashlib
import io
import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from playwright.sync_api import Page, Route, expect

from tests.conftest import SAMPLES
from tests.e2e.conftest import SCREENS, OpenContext, screen, with_key
from tests.integration.problems import post

pytestmark = pytest.mark.system

# A cough is over in half a second: what happened is noted, for whoever comes late to look.
NOTE = """() => {
    window.noted = {plays: 0, marked: 0};
    const audio = document.querySelector('audio');
    audio.addEventListener('play', () => (window.noted.plays += 1));
    audio.addEventListener('timeupdate', () => {
        window.noted.marked = Math.max(window.noted.marked, document.querySelectorAll('.mark.playing').length);
    });
}"""
PLAYED = "(times) => window.noted.plays === times && document.querySelector('audio').paused"


@pytest.fixture(scope="module")
def call(api: httpx.Client) -> dict[str, Any]:
    """`call`: telephone µ-law, two parties; the caller coughs four times in channel 1, the agent speaks in
    channel 0.
    """
    record: dict[str, Any] = post(api, (SAMPLES / "call" / "raw.wav").read_bytes(), "e2e-call").json()
    assert record["diagnosis"]["status"] == "ok"
    return record


def opened(page: Page, call_id: str) -> Page:
    page.goto(f"/#/calls/{call_id}")
    page.locator("audio[src]").wait_for()
    return page


def test_the_sound_and_its_coughs(page: Page, call: dict[str, Any]) -> None:
    segments = call["diagnosis"]["segments"]
    coughs = [(n, segment) for n, segment in enumerate(segments) if segment["is_cough"]]
    duration_s = call["diagnosis"]["audio"]["duration_s"]
    opened(page, "e2e-call")
    expect(page.locator(".mark.cough")).to_have_count(len(coughs))
    box = page.locator(".waveform").bounding_box()
    assert box
    for mark, (n, cough) in zip(page.locator(".mark.cough").all(), coughs, strict=True):
        where = mark.bounding_box()
        assert where
        # To the borders' three pixels.
        assert where["x"] - box["x"] == pytest.approx(cough["start_s"] / duration_s * box["width"], abs=3)
        assert where["width"] == pytest.approx((cough["end_s"] - cough["start_s"]) / duration_s * box["width"], abs=3)
        expect(mark).to_have_text(str(n + 1))  # people count from 1
    for card, (_, cough) in zip(page.locator("#coughs .card").all(), coughs, strict=True):
        expect(card).to_contain_text(f"probabilidad de tos: {cough['cough_probability']:.2f}".replace(".", ","))
        expect(card).to_contain_text(f"{cough['start_s']:.2f} a {cough['end_s']:.2f} s".replace(".", ","))
    expect(page.locator("#facts")).to_contain_text(call["diagnosis"]["audio"]["codec"])
    screen(page, "call")


def test_the_canvas_shows_the_samples(page: Page, call: dict[str, Any]) -> None:
    """More ink where there is a cough than where there is silence."""
    opened(page, "e2e-call")
    cough = next(segment for segment in call["diagnosis"]["segments"] if segment["is_cough"])
    ink = page.evaluate(
        """([from, to]) => {
            const canvas = document.querySelector('.waveform canvas');
            const pen = canvas.getContext('2d');
            const at = (x) => Math.round(x * canvas.width);
            const inked = (a, b) => {
                const part = pen.getImageData(at(a), 0, Math.max(1, at(b) - at(a)), canvas.height).data;
                return part.filter((value, i) => i % 4 === 3 && value > 0).length / (b - a);
            };
            return [inked(from, to), inked(0, 1)];
        }""",
        [item / call["diagnosis"]["audio"]["duration_s"] for item in (cough["start_s"], cough["end_s"])],
    )
    assert ink[0] > 2 * ink[1] > 0


def test_a_cough_is_played_by_ranges_of_the_api(page: Page, call: dict[str, Any]) -> None:
    answers: list[tuple[int, str | None]] = []
    page.context.on(
        "response",
        lambda answer: (
            answer.url.endswith("/audio.wav") and answers.append((answer.status, answer.request.headers.get("range")))
        ),
    )
    opened(page, "e2e-call")
    n, cough = next((n, segment) for n, segment in enumerate(call["diagnosis"]["segments"]) if segment["is_cough"])
    name = re.compile(rf"^Reproducir Tos {n + 1}, de ")
    page.evaluate(NOTE)
    page.locator("#coughs").get_by_role("button", name=name).click()
    page.wait_for_function(PLAYED, arg=1)
    assert page.evaluate("window.noted.marked") == 1
    # A frame, or where the machine is busy the next of the element's own reports, which come four times a second.
    assert cough["end_s"] <= page.evaluate("document.querySelector('audio').currentTime") < cough["end_s"] + 0.5
    # The mark does the same, by keyboard.
    page.locator(".waveform").get_by_role("button", name=name).focus()
    page.keyboard.press("Enter")
    page.wait_for_function(PLAYED, arg=2)
    assert page.evaluate("document.querySelector('audio').src").endswith("/v1/calls/e2e-call/audio.wav")
    assert 206 in {status for status, _ in answers}, answers


def test_sound_without_a_service_worker(
    open_context: OpenContext, call: dict[str, Any], service: Any, api_key: str
) -> None:
    """As in a private window, or on a page that is not secure."""
    context = open_context(service.url)
    context.add_init_script("Object.defineProperty(navigator, 'serviceWorker', {value: undefined})")
    page = opened(with_key(context, api_key), "e2e-call")
    assert page.evaluate("document.querySelector('audio').src").startswith("blob:")
    page.wait_for_function("() => document.querySelector('audio').readyState >= 2")
    assert page.evaluate("document.querySelector('audio').duration") == pytest.approx(8.0, abs=0.01)


def test_one_cough_after_another_and_then_the_rest(page: Page, call: dict[str, Any]) -> None:
    opened(page, "e2e-call")
    first, second = page.locator("#coughs button").all()[:2]
    page.wait_for_function("() => document.querySelector('audio').readyState >= 2")
    first.click()
    second.click()
    end_s = [segment["end_s"] for segment in call["diagnosis"]["segments"] if segment["is_cough"]][1]
    page.wait_for_function("(end) => document.querySelector('audio').currentTime >= end", arg=end_s)
    page.wait_for_function("() => document.querySelector('audio').paused")
    # The person's own place is played on from, beyond the end of any cough.
    page.evaluate(
        "(end) => { const audio = document.querySelector('audio'); audio.currentTime = end - 0.2; audio.play(); }",
        end_s,
    )
    page.wait_for_function("(end) => document.querySelector('audio').currentTime > end + 0.3", arg=end_s)


def test_sound_that_the_service_does_not_give_any_more(page: Page, call: dict[str, Any]) -> None:
    """Another address stands for that: what Chromium has of the call's own it keeps.

    The waveform's bytes are still there.
    """
    opened(page, "e2e-call")
    page.wait_for_function("() => document.querySelector('audio').readyState >= 1")
    page.evaluate("document.querySelector('audio').src = '/v1/calls/nobody-at-all/audio.wav'")
    page.wait_for_function("() => document.querySelector('audio').src.startsWith('blob:')")
    page.evaluate(NOTE)
    page.locator("#coughs button").first.click()
    page.wait_for_function(PLAYED, arg=1)


def test_a_picture_that_the_service_has_no_time_for_comes_later(page: Page, call: dict[str, Any]) -> None:
    refused: list[str] = []

    def once(route: Route) -> None:
        if refused.count(route.request.url):
            route.continue_()
        else:
            refused.append(route.request.url)
            route.fulfill(status=503, headers={"Retry-After": "1"}, body="{}")

    page.route("**/segments/*.png", once)
    opened(page, "e2e-call")
    page.wait_for_function(
        "() => [...document.querySelectorAll('#coughs img')].every((one) => one.naturalWidth === 384)"
    )
    assert len(refused) == 2


def test_the_pictures_are_the_api_s(page: Page, call: dict[str, Any], api: httpx.Client) -> None:
    n = next(n for n, segment in enumerate(call["diagnosis"]["segments"]) if segment["is_cough"])
    opened(page, "e2e-call")
    page.locator("#coughs img").first.scroll_into_view_if_needed()
    page.wait_for_function("() => document.querySelector('#coughs img').naturalWidth === 384")
    shown = page.evaluate(
        """async () => {
            const canvas = new OffscreenCanvas(384, 256);
            const pen = canvas.getContext('2d');
            pen.drawImage(document.querySelector('#coughs img'), 0, 0);
            const digest = await crypto.subtle.digest('SHA-256', pen.getImageData(0, 0, 384, 256).data);
            return [...new Uint8Array(digest)].map((one) => one.toString(16).padStart(2, '0')).join('');
        }"""
    )
    picture = Image.open(io.BytesIO(api.get(f"/v1/calls/e2e-call/segments/{n}.png").content))
    assert shown == hashlib.sha256(picture.convert("RGBA").tobytes()).hexdigest()
    page.locator("#figure").click()
    expect(page.locator("dialog img")).to_be_visible()
    page.wait_for_function("() => document.querySelector('dialog img').naturalWidth === 1100")
    screen(page, "figure")
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_have_count(0)


def test_downloads(page: Page, call: dict[str, Any]) -> None:
    opened(page, "e2e-call")
    for button, name, content in (
        ("#download-audio", "e2e-call", (SAMPLES / "call" / "raw.wav").read_bytes()),
        ("#download-record", "e2e-call.json", None),
    ):
        with page.expect_download() as found:
            page.locator(button).click()
        data = Path(found.value.path()).read_bytes()
        assert found.value.suggested_filename.startswith(name)
        if content is None:
            assert json.loads(data)["diagnosis"] == call["diagnosis"]
        else:
            assert data == content


def test_erasing_asks_first(page: Page, api: httpx.Client, benchmark: bytes) -> None:
    post(api, benchmark, "e2e-erase")
    opened(page, "e2e-erase")
    page.locator("#erase").click()
    expect(page.get_by_role("dialog")).to_contain_text(
        "Se borran el audio y el registro de e2e-erase. No se puede deshacer"
    )
    screen(page, "erase")
    page.get_by_role("button", name="Cancelar").click()
    page.locator("#erase").click()
    page.keyboard.press("Escape")
    assert api.get("/v1/calls/e2e-erase").status_code == 200
    page.locator("#erase").click()
    page.locator("#erase-now").click()
    expect(page.locator("h1")).to_have_text("Llamadas")
    expect(page.locator("#announcer")).to_have_text("La llamada e2e-erase fue borrada.")
    assert api.get("/v1/calls/e2e-erase").status_code == 410
    page.goto("/#/calls/e2e-erase")
    expect(page.get_by_role("alert")).to_contain_text("La llamada fue borrada")


@pytest.mark.parametrize(
    ("call_id", "title"),
    [
        ("nobody-called", "No existe esa llamada"),
        ("<img src=x onerror=alert(1)>", "El call_id no es válido"),
        ("%", "El call_id no es válido"),
        ("..%2f..%2fhealthz", "No existe esa ruta"),
    ],
)
def test_an_address_that_names_no_call(page: Page, call_id: str, title: str) -> None:
    page.goto(f"/#/calls/{call_id}")
    expect(page.get_by_role("alert")).to_contain_text(title)
    assert page.locator("main img").count() == 0


def test_recent_calls_with_filters_and_pages(page: Page, api: httpx.Client, benchmark: bytes) -> None:
    for n in range(21):
        post(api, b"OggS, and no recording", f"e2e-failed-{n:02}")
    post(api, benchmark, "e2e-newest")
    page.get_by_role("link", name="Llamadas").click()
    items = page.locator(".calls li")
    expect(items).to_have_count(20)
    expect(items.first).to_contain_text("e2e-newest")
    expect(items.first).to_contain_text("Tos evaluada")
    screen(page, "calls")
    page.get_by_label("Estado").select_option("failed")
    expect(items.first).to_contain_text("e2e-failed-20")
    expect(page.locator(".calls .badge").first).to_have_text("Falló")
    first_page = items.all_inner_texts()
    page.locator("#older").click()
    expect(items.first).to_contain_text("e2e-failed-00")
    assert not set(items.all_inner_texts()) & set(first_page)
    page.go_back()
    expect(items.first).to_contain_text("e2e-failed-20")
    page.get_by_label("Estado").select_option("")
    # By keyboard one passes other choices on the way.
    page.get_by_label("Resultado").focus()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_label("Resultado")).to_be_focused()
    expect(page.get_by_label("Resultado")).to_have_value("ok")
    expect(items.first).to_contain_text("e2e-newest")
    page.reload()  # filters are part of the address
    expect(page.get_by_label("Resultado")).to_have_value("ok")
    page.get_by_label("Buscar por identificador").fill("e2e-failed-07")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Llamada e2e-failed-07")


def test_a_store_that_is_away(page: Page) -> None:
    problem = (
        '{"title": "No se puede acceder a los almacenes", "detail": "Inténtelo de nuevo.", "code": "store_unavailable"}'
    )
    page.route("**/v1/calls?*", lambda route: route.fulfill(status=503, body=problem))
    page.get_by_role("link", name="Llamadas").click()
    expect(page.get_by_role("alert")).to_contain_text("No se puede acceder a los almacenes")
    page.unroute("**/v1/calls?*")
    page.get_by_role("button", name="Intentar de nuevo").click()
    expect(page.locator(".calls li").first).to_be_visible()


def test_every_picture_of_a_call_is_drawn(page: Page, api: httpx.Client, benchmark: bytes) -> None:
    """Its screen is the README's picture (CONTRIBUTING.md)."""
    post(api, benchmark, "linea-2026-0107")
    segments = api.get("/v1/calls/linea-2026-0107").json()["diagnosis"]["segments"]
    coughs = sum(segment["is_cough"] for segment in segments)
    assert coughs >= 1
    page.set_viewport_size({"width": 1000, "height": 1290})
    opened(page, "linea-2026-0107")
    page.wait_for_function(
        "n => [...document.querySelectorAll('#coughs img')].filter((image) => image.naturalWidth === 384).length === n",
        arg=coughs,
    )
    page.wait_for_function("() => document.querySelector('audio').readyState >= 1")
    page.screenshot(path=SCREENS / "console.png")
