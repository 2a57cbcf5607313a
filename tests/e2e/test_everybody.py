"""For everybody: in two languages, at a telephone's width, by keyboard, with a screen reader, in light and dark."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from laptop.service import CHECKOUT, Service
from runtime.messages.catalogue import sections
from runtime.messages.languages import Language
from tests.conftest import SAMPLES
from tests.e2e.conftest import OpenContext, screen
from tests.integration.problems import post
from tests.services.node import MODULES

AXE = CHECKOUT / ".venv-node" / "node_modules" / "axe-core" / "axe.min.js"
TELEPHONE = {"width": 320, "height": 640}  # the narrowest that WCAG 1.4.10 asks for
CONSOLE = CHECKOUT / "frontend" / "console"


@pytest.fixture(scope="module")
def benchmark_call(api: httpx.Client, benchmark: bytes) -> str:
    post(api, benchmark, "e2e-everybody")
    return "e2e-everybody"


@pytest.mark.system
@pytest.mark.parametrize(
    ("locale", "title"), [("es-MX", "Clave de acceso"), ("en-GB", "Access key"), ("pt-BR", "Clave de acceso")]
)
def test_the_browser_chooses_the_language(open_context: OpenContext, service: Service, locale: str, title: str) -> None:
    page = open_context(service.url, locale=locale).new_page()
    page.goto("/")
    expect(page.locator("h1")).to_have_text(title)
    expect(page.locator("html")).to_have_attribute("lang", "en" if title == "Access key" else "es")


@pytest.mark.system
def test_the_language_is_switched(page: Page, benchmark_call: str) -> None:
    page.goto(f"/#/calls/{benchmark_call}")
    expect(page.locator("#message")).to_contain_text("Se oyeron")
    page.locator("#language").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#message")).to_contain_text("coughs were heard")
    expect(page.locator("#intended-use")).to_contain_text("Orientation, not a medical diagnosis")
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.locator("#language")).to_be_focused()
    screen(page, "call-english")
    page.reload()
    expect(page.locator("#message")).to_contain_text("coughs were heard")
    page.get_by_role("link", name="Calls", exact=True).click()
    expect(page.locator("h1")).to_have_text("Calls")
    page.get_by_role("button", name="Español").click()
    expect(page.locator("h1")).to_have_text("Llamadas")


@pytest.mark.system
def test_a_chosen_file_outlives_the_switch(page: Page) -> None:
    page.locator("#file").set_input_files(SAMPLES / "tone" / "raw.wav")
    page.locator("#language").click()
    expect(page.locator("#chosen")).to_contain_text("raw.wav")
    expect(page.get_by_role("button", name="Send", exact=True)).to_be_visible()


def test_the_console_has_every_text_that_it_asks_for() -> None:
    code = "".join(file.read_text() for file in CONSOLE.glob("*.js"))
    texts = sections(Language.SPANISH)["console"]
    asked = set(re.findall(r"\btext\(\"(\w+)\"", code))
    assert len(asked) > 60
    assert asked <= texts.keys()
    assert texts.keys() <= set(re.findall(r"\"(\w+)\"", code)), "left over"


DOUBLED_KEYS = """
const { parse } = require(process.argv[1]);
const { readFileSync } = require("fs");
const doubled = [];
function visit(node, file) {
  if (!node || typeof node.type !== "string") return;
  if (node.type === "ObjectExpression") {
    const seen = new Set();
    for (const property of node.properties) {
      if (property.type !== "Property" || property.computed) continue;
      const name = String(property.key.name ?? property.key.value);
      if (seen.has(name)) doubled.push(`${file}:${property.loc.start.line}: ${name}`);
      seen.add(name);
    }
  }
  for (const value of Object.values(node)) for (const part of [value].flat()) visit(part, file);
}
for (const file of process.argv.slice(2))
  visit(parse(readFileSync(file, "utf8"), { ecmaVersion: "latest", sourceType: "module", locations: true }), file);
console.log(doubled.join("\\n"));
"""


def doubled_keys(*files: Path) -> list[str]:
    """Keys that are there twice in one object of a script, by acorn, which Azurite brings."""
    acorn = MODULES / "acorn"
    if not acorn.is_dir() or shutil.which("node") is None:
        pytest.skip("node or its packages are missing: install nodejs and npm, then `make test`")
    run = subprocess.run(
        ["node", "-e", DOUBLED_KEYS, str(acorn), *map(str, files)], capture_output=True, text=True, check=True
    )
    return run.stdout.split("\n")[:-1] if run.stdout.strip() else []


def test_no_object_of_the_console_has_a_key_twice(tmp_path: Path) -> None:
    assert doubled_keys(*sorted(CONSOLE.glob("*.js"))) == []
    wrong = tmp_path / "wrong.js"
    wrong.write_text('export const TEXTS = {\n  clipped: "a",\n  "silent": "b",\n  "clipped": "c" };\n')
    assert doubled_keys(wrong) == [f"{wrong}:4: clipped"]


@pytest.mark.system
@pytest.mark.parametrize(
    ("scheme", "viewport"),
    [("light", {"width": 1100, "height": 900}), ("dark", {"width": 1100, "height": 900}), ("dark", TELEPHONE)],
    ids=["light", "dark", "telephone"],
)
def test_no_serious_violation_and_no_sideways_scrolling(
    open_context: OpenContext,
    service: Service,
    api_key: str,
    benchmark_call: str,
    scheme: str,
    viewport: dict[str, int],
) -> None:
    if not AXE.exists():
        pytest.skip("axe-core is missing: install npm, then `make .venv-node/.installed`")
    name = f"{scheme}-{viewport['width']}"
    page = open_context(service.url, color_scheme=scheme, viewport=viewport).new_page()
    page.goto("/")
    judge(page, f"key-{name}")
    page.get_by_label("Clave de la API").fill(api_key)
    page.keyboard.press("Enter")
    page.locator("#file").set_input_files(SAMPLES / "tone" / "raw.wav")
    judge(page, f"send-{name}")
    page.goto(f"/#/calls/{benchmark_call}")
    page.locator("audio[src]").wait_for()
    judge(page, f"call-{name}")
    page.locator("#figure").click()
    page.locator("dialog img").wait_for()
    judge(page, f"figure-{name}")
    page.keyboard.press("Escape")
    page.locator("#erase").click()
    judge(page, f"erase-{name}")
    page.keyboard.press("Escape")
    page.goto("/#/calls")
    page.locator(".calls").wait_for()
    judge(page, f"calls-{name}")
    page.goto("/#/calls/nobody-at-all")
    page.get_by_role("alert").wait_for()
    judge(page, f"problem-{name}")


def judge(page: Page, name: str) -> None:
    screen(page, name)
    size = page.viewport_size
    assert size
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"], name
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    assert found["testEngine"]["name"] == "axe-core"
    serious = [
        (violation["id"], [node["target"] for node in violation["nodes"]])
        for violation in found["violations"]
        if violation["impact"] in {"serious", "critical"}
    ]
    assert serious == [], name


@pytest.mark.system
def test_all_of_it_by_keyboard(page: Page, api_key: str) -> None:
    """Tab reaches the file, the microphone, sending, the coughs and erasing; focus goes to what just appeared."""
    page.keyboard.press("Tab")
    expect(page.locator("#skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#content")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator("#file")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator("#record")).to_be_focused()
    page.locator("#file").set_input_files(SAMPLES / "benchmark_1" / "raw.ogg")
    expect(page.locator("#send")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_be_focused()
    expect(page.locator("h1")).to_contain_text("Llamada")
    page.locator("audio[src]").wait_for()
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate(
                "document.activeElement.id || document.activeElement.className || document.activeElement.tagName"
            )
        )
    assert {"mark cough", "AUDIO", "figure", "download-audio", "erase", "language", "forget"} <= reached


def test_no_script_and_no_markup_from_text() -> None:
    """What the policy forbids in browsers that know it, the code leaves alone in all of them."""
    page = (CONSOLE / "index.html").read_text()
    assert re.findall(r"<script[^>]*>", page) == ['<script type="module" src="/console/main.js">']
    assert "La consola de Tos.IA necesita JavaScript" in page.partition("<noscript>")[2]
    assert not re.search(r"\son\w+=|style=|javascript:|https?://", page)
    for file in CONSOLE.glob("*.js"):
        text = file.read_text()
        assert not re.search(r"(inner|outer|insertAdjacent)HTML|document\.write|eval\(|new Function|\"style\"", text), (
            file
        )
        assert not re.search(r"https?://", text), file


@pytest.mark.parametrize(
    "path", ["/", "/console/main.js", "/console/service_worker.js", "/console/console.css", "/console/icon.svg"]
)
def test_every_part_is_served_under_the_policy(service: Service, path: str) -> None:
    answer = httpx.get(service.url + path, trust_env=False)
    assert answer.status_code == 200
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == "'self'"
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert policy["require-trusted-types-for"] == "'script'"
    again = httpx.get(service.url + path, headers={"If-None-Match": answer.headers["etag"]}, trust_env=False)
    assert (again.status_code, again.headers["content-security-policy"]) == (
        304,
        answer.headers["content-security-policy"],
    )
    assert httpx.head(service.url + path, trust_env=False).status_code == 200


@pytest.mark.parametrize("name", ["", "nothing.js", "index.html", "..%2fapp.py", "%2e%2e/app.py", ".hidden"])
def test_nothing_else_is_served(service: Service, name: str) -> None:
    assert httpx.get(f"{service.url}/console/{name}", trust_env=False).status_code == 404


@pytest.mark.system
def test_a_page_that_injects_a_script_is_refused(open_context: OpenContext, service: Service) -> None:
    """That the policy is in force, and not only sent."""
    page = open_context(service.url, provokes="requires 'TrustedScript'").new_page()
    page.goto("/")
    refused = page.evaluate(
        """() => new Promise((resolve) => {
            const seen = (event) => resolve(event.violatedDirective);
            document.addEventListener('securitypolicyviolation', seen, {once: true});
            const script = document.createElement('script');
            try { script.textContent = 'window.injected = true'; } catch (error) { resolve('trusted-types'); return; }
            document.head.append(script);
            setTimeout(() => resolve(window.injected ? 'ran' : 'nothing'), 1000);
        })"""
    )
    assert refused.startswith(("script-src", "require-trusted-types", "trusted-types"))


@pytest.mark.system
def test_without_its_texts_the_page_says_so(browser: Browser, service: Service) -> None:
    """In both languages, since it knows none yet."""
    context = browser.new_context(base_url=service.url)
    try:
        page = context.new_page()
        page.route("**/console/messages.*.json", lambda route: route.abort())
        page.goto("/")
        expect(page.locator("#unloaded")).to_contain_text("La consola no se pudo cargar.")
        expect(page.locator("#unloaded")).to_contain_text("The console could not be loaded.")
    finally:
        context.close()
