"""`make image-test`:

Dockerfile.frontend is built, looked at, started, and asked for a diagnosis with the real Triton beside it.

container.py says what is not as in a container runtime, build.py what the base is not; .dockerignore is judged by
buildah alone.
"""

from __future__ import annotations

import http.client
import itertools
import json
import re
import secrets
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from laptop.service import CHECKOUT
from local_triton import TritonServer
from local_triton.ports import is_free
from runtime.conclude import spectrogram_sha256
from runtime.config import load_config, load_limits
from runtime.prepare import prepare
from tests.image.build import Build, Tree, missing, tree
from tests.image.container import Container, run
from tests.image.pip_settings import places
from tests.image.weight import OURS, PAGE, read_table, weigh
from tests.integration.processes import descendants, wait_for
from tests.processors.recordings import make_recordings

pytestmark = [pytest.mark.image, pytest.mark.timeout(900)]  # the first test builds

MAX_BYTES = 700e6
PORT, METRICS_PORT = 8080, 9090  # the image's own
DRAIN_S = 10.0
KEY = "a-key-for-tests"
CODE = ("config.yml", "export", "frontend", "model_repository", "preprocess", "runtime")


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the image is built from: this checkout, some of it for its owner alone."""
    folder = tmp_path_factory.mktemp("context")
    copy_checkout(folder, ("Dockerfile.frontend", ".dockerignore", "requirements", "scripts", "samples", *CODE))
    (folder / "config.yml").chmod(0o600)
    (folder / "frontend").chmod(0o700)
    return folder


@pytest.fixture(scope="module")
def build(context: Path) -> Iterator[Build]:
    """The image."""
    reason = missing()
    if reason is not None:
        pytest.skip(reason)
    with Build(Path(tempfile.mkdtemp(prefix="tosia-image-"))) as one:
        one.make_base()
        one.build(context, BUILD_NUMBER="42", REVISION="0123abc")
        yield one


@pytest.fixture(scope="module")
def root(build: Build) -> Path:
    """The image's files."""
    return build.mount()


@pytest.fixture(scope="module")
def added(build: Build, root: Path) -> Tree:
    """What the image has and its base has not."""
    return {name: entry for name, entry in tree(root).items() if build.base.get(name) != entry}


@pytest.fixture(scope="module")
def config(build: Build) -> dict[str, Any]:
    found: dict[str, Any] = build.description()["config"]
    return found


def copy_checkout(folder: Path, names: tuple[str, ...]) -> None:
    for name in names:
        source = CHECKOUT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)


def test_who_runs_what(config: dict[str, Any]) -> None:
    assert config["User"] == "10001:10001"
    assert config["WorkingDir"] == "/app"
    # Lists are the exec form: no shell between the runtime and the server.
    assert config["Entrypoint"] == ["python", "-m", "frontend"]
    assert config["Cmd"] == f"--host 0.0.0.0 --port 8080 --metrics-port 9090 --drain-seconds {DRAIN_S:.0f}".split()
    assert set(config["ExposedPorts"]) == {"8080/tcp", "9090/tcp"}
    assert config["Healthcheck"]["Test"][:2] == ["CMD", "python"]


def test_what_it_is_called(config: dict[str, Any]) -> None:
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in config["Labels"].items()}
    assert labels["title"] == "Tos.IA front end"
    assert labels["version"] == "42"
    assert labels["revision"] == "0123abc"


def test_weight_above_the_base(added: Tree) -> None:
    """The target of docs/image.md."""
    assert sum(size for _, size in added.values()) <= MAX_BYTES


def test_the_page_says_what_its_packages_weigh(root: Path) -> None:
    """Within 1 MB: bytecode is that of the base's Python, which may get a newer patch.

    What is ours grows as it likes.
    """
    measured = {name: weight.mb for name, weight in weigh(root).items() if name != OURS}
    written = read_table(PAGE.read_text())
    named = {name: mb for name, mb in written.items() if name in measured}
    assert len(named) > 20, "docs/image.md is old: make image"
    assert named == pytest.approx({name: measured[name] for name in named}, abs=1.0), "docs/image.md is old: make image"
    assert not [name for name, mb in measured.items() if mb > 2.0 and name not in named], (
        "docs/image.md is old: make image"
    )


def test_nothing_else_of_the_base_has_changed(build: Build, added: Tree, root: Path) -> None:
    """Neither does anything lie about that a builder was lent: pip's settings, certificates, caches."""
    elsewhere = [name for name in added if not re.match(r"(app|opt/venv)(/|$)", name)]
    assert elsewhere == []
    assert build.base.keys() <= tree(root).keys()


def test_no_trace_of_where_packages_came_from(build: Build, added: Tree, root: Path) -> None:
    needles = [place.encode() for place in places(build.settings)]
    description = json.dumps(build.description()).encode()
    texts = [root / name for name, (mode, size) in added.items() if stat.S_ISREG(mode) and 0 < size < 1_000_000]
    assert not [needle for needle in needles if needle in description]
    assert not [path for path in texts if any(needle in path.read_bytes() for needle in needles)]
    assert not [name for name in added if name.endswith(("pip.conf", "direct_url.json"))]


def test_what_is_ours_and_nothing_beside_it(added: Tree, root: Path, context: Path) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *CODE, "samples/preprocessing"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    expected = {name for name in tracked if (context / name).exists()}
    inside = {name.removeprefix("app/") for name, (mode, _) in added.items() if stat.S_ISREG(mode)}
    assert {name for name in inside if not name.startswith(("bytecode/", "opt/"))} == expected
    assert all((root / "app" / name).read_bytes() == (context / name).read_bytes() for name in expected)


def test_secrets_data_and_environments_do_not_enter_a_build(build: Build, tmp_path: Path) -> None:
    """Strangers lie where they may lie; of the checkout's own, too, only what the Dockerfile copies enters."""
    names = (
        ".dockerignore",
        "Dockerfile.frontend",
        "requirements",
        "scripts",
        "config.yml",
        "frontend",
        "samples",
        "tests/image",
    )
    copy_checkout(tmp_path, names)
    strangers = [".env", ".git/config", ".venv/bin/python", "var/api_key", "id_rsa", "data/cough/call.wav"]
    strangers += ["releases/1/model.onnx", "models/cough_cnn.pt", "samples/preprocessing/.call.wav"]
    strangers += [
        f"frontend/{name}"
        for name in (".env", "notes.txt", "stores/calls.sqlite", "__pycache__/app.pyc", "console/notes.txt")
    ]
    for name in strangers:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x")
    allowed = {"config.yml", "requirements/serving.txt", "scripts/bytecode.py", "scripts/slim.py"}
    folders = (
        ("frontend", "**/*.py"),
        ("frontend/console", "*"),
        ("samples/preprocessing", "*/*"),
    )
    for folder, pattern in folders:
        allowed |= {str(path.relative_to(CHECKOUT)) for path in (CHECKOUT / folder).glob(pattern)}
    assert build.entering(tmp_path) == {name for name in allowed if (CHECKOUT / name).stat().st_size}


def test_everybody_may_read_it_and_nobody_may_change_it(added: Tree) -> None:
    modes = {name: mode for name, (mode, _) in added.items() if not stat.S_ISLNK(mode)}
    assert not [name for name, mode in modes.items() if not mode & stat.S_IROTH]
    assert not [name for name, mode in modes.items() if stat.S_ISDIR(mode) and not mode & stat.S_IXOTH]
    assert not [name for name, mode in modes.items() if mode & (stat.S_IWOTH | stat.S_IWGRP)]
    assert not [name for name, mode in modes.items() if mode & (stat.S_ISUID | stat.S_ISGID)]


def test_no_compiler_no_torch_no_pip_no_tests(added: Tree, root: Path, config: dict[str, Any]) -> None:
    programs = "cc c++ gcc g++ clang tcc ld as make pip pip3"
    code, printed = run(root, config, ["sh", "-c", f"command -v {programs}; python -c 'import torch'"])
    assert code != 0
    assert "No module named 'torch'" in printed
    assert not [line for line in printed.splitlines() if line.startswith("/")]
    distributions = {Path(name).name.split("-")[0] for name in added if name.endswith(".dist-info")}
    assert {"numpy", "tritonclient"} <= distributions
    assert not distributions & {"torch", "onnx", "pip", "setuptools", "pytest", "nvidia_pytriton"}
    assert not [name for name in added if re.search(r"site-packages/[^/]+/(.*/)?tests?(/|$)", name)]


def test_the_commands_that_jobs_and_operators_give(root: Path, config: dict[str, Any]) -> None:
    for command, said in (("frontend --help", "backfill"), ("export.plan --help", "trial")):
        code, printed = run(root, config, ["python", "-m", *command.split()])
        assert (code, said in printed) == (0, True), printed
    code, printed = run(root, config, ["python", "-m", "frontend"])
    assert code == 2
    assert printed.startswith("frontend: API_KEY is missing")
    code, printed = run(root, config, ["python", "-m", "frontend", "backfill", "--since", "2026-01-01"])
    assert code == 2


def test_the_steps_of_a_plan_run_in_it(root: Path, config: dict[str, Any]) -> None:
    """As k8s/manifests/tensorrt-plan runs them, another user included; the plan itself is not a real one."""
    trial = 'printf plan > /tmp/plan; printf \'{"gpu": "a GPU", "tensorrt": "11"}\' > /tmp/built-on; '
    trial += "python -m export.plan trial /app/model_repository /tmp/plan /tmp/built-on /tmp/trial "
    trial += "&& cat /tmp/trial/manifest.json"
    code, printed = run(root, config, ["sh", "-c", trial], user="1000:1000")
    assert code == 0, printed
    assert json.loads(printed)["gpu"] == "a GPU"
    judged_on = (
        "from export.plan import ROOT, judge, sample_spectrograms; print(len(sample_spectrograms(ROOT / 'samples')))"
    )
    code, printed = run(root, config, ["python", "-c", judged_on], user="1000:1000")
    assert code == 0, printed
    assert int(printed) > 10


def test_every_module_loads_as_the_user(root: Path, config: dict[str, Any]) -> None:
    """The stores of Azure among them, and what was taken out of packages is not missed; torch's part is in no image."""
    load_all = """
import importlib, pkgutil
for package in ("preprocess", "runtime", "frontend", "export"):
    for module in pkgutil.walk_packages(importlib.import_module(package).__path__, package + "."):
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            print(module.name, error.name)
import azure.identity.aio, azure.storage.blob.aio, azure.cosmos.aio, azure.core.pipeline.transport
assert azure.core.pipeline.transport.AioHttpTransport
import ssl
assert ssl.create_default_context().get_ca_certs()
"""
    code, printed = run(root, config, ["python", "-W", "error::ImportWarning", "-c", load_all])
    assert code == 0, printed
    lacking = dict(line.split() for line in printed.splitlines())
    assert all(name.startswith("export.") for name in lacking)
    assert set(lacking.values()) <= {"torch", "onnx", "onnxscript", "training", "local_triton"}


class Serving:
    """The image as it starts by itself, Triton beside it."""

    def __init__(self, container: Container) -> None:
        self.container = container
        self.api = httpx.Client(
            base_url=f"http://127.0.0.1:{PORT}", headers={"X-API-Key": KEY}, timeout=30.0, trust_env=False
        )

    def status(self, path: str) -> int:
        """0 where nobody answers."""
        assert self.container.running, self.container.printed()
        try:
            return self.api.get(path).status_code
        except httpx.TransportError:
            return 0


@pytest.fixture(scope="module")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    with TritonServer(CHECKOUT / "model_repository", log=tmp_path_factory.mktemp("triton") / "log") as one:
        yield one


@pytest.fixture
def serving(root: Path, config: dict[str, Any], triton: TritonServer) -> Iterator[Serving]:
    """With its own command and ports; ready."""
    wait_for(lambda: is_free(PORT) and is_free(METRICS_PORT), f"ports {PORT} and {METRICS_PORT}, the image's, are free")
    stores = {"TOSIA_STORES": "embedded", "TOSIA_VAR": "/tmp/var"}  # noqa: S108 - the container's own
    with Container(root, config, environment={"API_KEY": KEY, "TRITON_URL": triton.grpc_url, **stores}) as container:
        one = Serving(container)
        wait_for(lambda: one.status("/readyz") == 200, "the image is ready")
        yield one
        one.api.close()


def test_it_runs_as_nobody_on_a_root_that_stays_as_it_is(serving: Serving, config: dict[str, Any]) -> None:
    process = Path(f"/proc/{serving.container.pid}")
    assert process.joinpath("cmdline").read_bytes().split(b"\0")[:3] == [b"python", b"-m", b"frontend"]
    status = dict(line.split(":\t", 1) for line in process.joinpath("status").read_text().splitlines() if ":\t" in line)
    assert status["Uid"].split() == ["10001"] * 4
    assert status["NSpid"].split()[-1] == "1"
    assert int(status["CapEff"], 16) == 0

    assert "Read-only" in serving.container.execute(["touch", "/app/frontend/new.py"]).stderr
    assert serving.container.execute(config["Healthcheck"]["Test"][1:]).returncode == 0


def test_a_diagnosis(serving: Serving, benchmark: bytes) -> None:
    """And what is drawn of it, by packages that insist on a folder to write to."""
    answer = serving.api.post("/v1/diagnoses", files={"audio": ("raw.ogg", benchmark, "audio/ogg")})
    assert answer.status_code == 201, answer.text
    diagnosis = answer.json()["diagnosis"]
    assert diagnosis["status"] == "ok"
    assert any(segment["is_cough"] for segment in diagnosis["segments"])
    call = f"/v1/calls/{answer.json()['call_id']}"
    for picture in (f"{call}/figure.png", f"{call}/segments/0.png"):
        assert serving.api.get(picture).content.startswith(b"\x89PNG")
    assert serving.status("/docs") == 200
    page = serving.api.get("/")
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    for part in ("main.js", "messages.es.json", "messages.en.json", "service_worker.js", "console.css", "icon.svg"):
        assert serving.api.get(f"/console/{part}").status_code == 200, part
    metrics = httpx.get(f"http://127.0.0.1:{METRICS_PORT}/metrics", trust_env=False)
    assert "tosia_" in metrics.text


@pytest.mark.shared  # recordings of people
def test_every_form_of_a_recording_gives_the_bits_that_it_gives_here(serving: Serving, tmp_path: Path) -> None:
    """Decoded by caged workers of another Python and another C library than the tests': a system call that these make,
    and the cage refuses, would show as a worker that dies or a recording that can't be read.
    """
    workers = [f"/proc/{pid}/status" for pid in descendants(serving.container.pid)]
    assert [path for path in workers if "\nSeccomp:\t2" in Path(path).read_text()]
    params, (_, limits) = load_config(), load_limits()
    make_recordings(tmp_path / "recordings", n_people=1)
    others = {}
    for path in sorted((tmp_path / "recordings").iterdir()):
        data = path.read_bytes()
        prepared = prepare(data, *params, limits.decode)
        ends = list(itertools.accumulate(len(channel.segments_s) for channel in prepared.channels))
        here = {spectrogram_sha256(prepared.spectrograms[start:end]) for start, end in itertools.pairwise([0, *ends])}
        answer = serving.api.post("/v1/diagnoses", files={"audio": (path.name, data)})
        there = answer.json()["diagnosis"]["spectrogram_sha256"] if answer.status_code == 201 else answer.text
        if there not in here:
            others[path.name] = there
    assert others == {}


def test_sigterm_in_the_middle_of_a_request(serving: Serving, benchmark: bytes) -> None:
    """The request ends after the server has stopped to listen, and is answered."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=30.0)
    boundary = secrets.token_hex(16)
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="audio"; filename="raw.ogg"\r\n\r\n'.encode()
    body = head + benchmark + f"\r\n--{boundary}--\r\n".encode()
    connection.putrequest("POST", "/v1/diagnoses")
    for name, value in (("X-API-Key", KEY), ("Content-Length", str(len(body)))):
        connection.putheader(name, value)
    connection.putheader("Content-Type", f"multipart/form-data; boundary={boundary}")
    connection.endheaders()
    connection.send(body[: len(body) // 2])
    wait_for(lambda: in_work() == 1, "the request is in work")
    serving.container.send_signal(signal.SIGTERM)
    wait_for(lambda: serving.status("/readyz") == 503, "the server drains")
    assert serving.status("/healthz") == 200
    sent = len(body) // 2

    def stopped_to_listen() -> bool:
        """A sender that sends nothing for ten seconds would be given up, so some bytes go on each time."""
        nonlocal sent
        connection.send(body[sent : sent + 10])
        sent += 10
        return serving.status("/healthz") == 0

    wait_for(stopped_to_listen, "the server has stopped to listen")
    assert sent < len(body)
    connection.send(body[sent:])
    late = connection.getresponse()
    assert late.status == 201
    assert json.loads(late.read())["diagnosis"]["status"] == "ok"
    connection.close()
    code, printed = serving.container.ended()
    assert code == 0, printed
    assert "Traceback" not in printed


def in_work() -> float:
    text = httpx.get(f"http://127.0.0.1:{METRICS_PORT}/metrics", trust_env=False).text
    (value,) = re.findall(r"^tosia_recordings_in_work (\S+)$", text, re.MULTILINE)
    return float(value)


def test_nobody_there_is_not_healthy(root: Path, config: dict[str, Any]) -> None:
    wait_for(lambda: is_free(PORT), f"port {PORT}, the image's, is free")
    code, _ = run(root, config, config["Healthcheck"]["Test"][1:])
    assert code == 1
