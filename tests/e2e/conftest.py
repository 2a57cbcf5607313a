"""The console in a real Chromium, watched: nothing may be asked of another host, refused by the policy, or thrown.

The fake microphone is Chromium's own, fed from a sample; its Opus encoder and MediaRecorder are real.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import soundfile
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from laptop.service import CHECKOUT, Service
from preprocess.decode import decode
from runtime.config import load_limits
from tests.conftest import SAMPLES

CHROMIUM = shutil.which("chromium") or ""
SCREENS = CHECKOUT / "build" / "screens"
PATIENCE_MS = 20_000


@pytest.fixture(scope="session")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`benchmark_1` as the WAV that Chromium's fake microphone takes."""
    recording = decode((SAMPLES / "benchmark_1" / "raw.ogg").read_bytes(), load_limits()[1].decode)
    path = tmp_path_factory.mktemp("microphone") / "spoken.wav"
    soundfile.write(path, recording.samples[0], recording.sample_rate_hz, subtype="PCM_16")
    return path


@pytest.fixture(
    scope="module"
)  # while it is there an event loop runs in this process, and tests of other modules need none
def browser(spoken: Path) -> Iterator[Browser]:
    if not CHROMIUM:
        pytest.skip("Chromium is missing: apt-get install chromium")
    SCREENS.mkdir(parents=True, exist_ok=True)
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox",  # root, as in CI's container, has none
                "--use-fake-device-for-media-stream",
                f"--use-file-for-fake-audio-capture={spoken}",
                "--autoplay-policy=no-user-gesture-required",
            ],
            env={**os.environ, "LANGUAGE": "es"},
        )
        yield running
        running.close()


@dataclass
class Watched:
    """What the pages and workers of a context did."""

    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


OpenContext = Callable[..., BrowserContext]


@pytest.fixture
def open_context(browser: Browser) -> Iterator[OpenContext]:
    """Contexts that are watched; what they did is judged at the end."""
    contexts: list[tuple[BrowserContext, Watched, str]] = []

    def open_one(base_url: str, provokes: str = "nothing", **options: object) -> BrowserContext:
        """provokes: part of a complaint that the test is about."""
        context = browser.new_context(**{"base_url": base_url, "locale": "es-AR", **options})  # type: ignore[arg-type]
        context.set_default_timeout(PATIENCE_MS)
        watched = Watched()
        context.on("request", lambda request: watched.requests.append(request.url))
        # A refused request is told on the console, too: that is the browser's doing. Anything else there is ours.
        context.on(
            "console",
            lambda said: (
                said.type == "error"
                and "Failed to load resource" not in said.text
                and provokes not in said.text
                and watched.complaints.append(said.text)
            ),
        )
        context.on("weberror", lambda error: watched.complaints.append(str(error.error)))
        contexts.append((context, watched, base_url))
        return context

    yield open_one
    for context, watched, base_url in contexts:
        context.close()
        assert watched.complaints == []
        here = urlsplit(base_url)
        for url in watched.requests:
            parts = urlsplit(url.removeprefix("blob:"))
            assert (parts.scheme, parts.netloc) == (here.scheme, here.netloc), url


@pytest.fixture
def page(open_context: OpenContext, service: Service, api_key: str) -> Page:
    """The console of `service` in Spanish, the key already given."""
    return with_key(open_context(service.url, permissions=["microphone"]), api_key)


def with_key(context: BrowserContext, key: str) -> Page:
    """A tab in which the key lies where the console itself keeps it."""
    page = context.new_page()
    page.goto("/console/icon.svg")
    page.evaluate("(key) => sessionStorage.setItem('tosia.key', key)", key)
    page.goto("/")
    page.wait_for_selector("#forget")
    return page


def entered(page: Page, key: str, address: str = "/") -> Page:
    """Opens the console and gives the key as a person does."""
    page.goto(address)
    page.get_by_label("Clave de la API").fill(key)
    page.keyboard.press("Enter")
    page.wait_for_selector("#forget")
    return page


def send(page: Page, audio: Path | dict[str, object], call_id: str = "") -> None:
    """Chooses a file and sends it: from the console's first page."""
    page.locator("#file").set_input_files(audio)  # type: ignore[arg-type]
    if call_id:
        page.locator("#call-id").fill(call_id)
    page.locator("#send").click()


def screen(page: Page, name: str) -> None:
    """Kept for people to look at."""
    page.wait_for_function("document.fonts.ready.then(() => true)")
    page.screenshot(path=SCREENS / f"{name}.png", full_page=page.locator("dialog").count() == 0)
