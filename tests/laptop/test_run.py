"""`make run` and `make demo` without make: what they print, what they leave, and how they end."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from tritonclient.grpc import InferenceServerClient

from laptop.service import CHECKOUT, Service
from local_triton.ports import free_ports
from tests.integration.processes import descendants, is_running, wait_for
from tests.laptop.checkouts import copy_checkout, laptop, run_arguments
from tests.local_triton.leftovers import leftovers

SECRET = "a-key-of-my-own"


def start(checkout: Path, **environment: str) -> tuple[subprocess.Popen[str], str]:
    """The process when it serves, and what it printed until then."""
    return started_with(checkout, *run_arguments(), **environment)


def started_with(checkout: Path, *arguments: str, **environment: str) -> tuple[subprocess.Popen[str], str]:
    process = laptop(checkout, *arguments, **environment)
    assert process.stdout is not None
    printed = ""
    while not printed.endswith("Ctrl-C ends it.\n"):
        printed += (line := process.stdout.readline())
        assert line, process.communicate()[1]
    return process, printed


def paste_curl_line(printed: str, elsewhere: Path, **environment: str) -> dict[str, object]:
    if shutil.which("curl") is None:
        pytest.skip("curl is missing: apt-get install curl")
    (line,) = [item.strip() for item in printed.splitlines() if item.strip().startswith("curl ")]
    run = subprocess.run(
        ["bash", "-c", line],
        cwd=elsewhere,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(run.stdout)


def url_of(printed: str) -> str:
    found = re.search(r"http://127\.0\.0\.1:\d+", printed)
    assert found is not None
    return found[0]


def assert_nothing_left(process: subprocess.Popen[str], started: list[int], before: set[str]) -> None:
    """The exit code is 0, nothing is said any more, and no process and no shared memory stays."""
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output, errors) == (0, "", "")
    wait_for(lambda: not any(is_running(pid) for pid in started), "every process has ended")
    wait_for(lambda: leftovers() <= before, "no shared memory and no scratch folder stays")


def test_run_until_ctrl_c(tmp_path: Path) -> None:
    checkout = copy_checkout(tmp_path / "a folder with 'quotes'")
    before = leftovers()
    process, printed = start(checkout)
    started = descendants(process.pid)
    assert len(started) >= 5  # front end, workers, warden, tritonserver, stub
    key = (checkout / "var" / "api_key").read_text().strip()
    assert stat.S_IMODE((checkout / "var").stat().st_mode) == 0o700
    assert stat.S_IMODE((checkout / "var" / "api_key").stat().st_mode) == 0o600
    assert f"API key:          {key} " in printed
    assert re.search(r"http://127\.0\.0\.1:\d+ ", printed)
    record = paste_curl_line(printed, tmp_path)
    assert (record["state"], record["diagnosis"]["status"]) == ("diagnosed", "ok")
    # A terminal sends Ctrl-C to the whole group, and impatient people press it twice.
    os.killpg(process.pid, signal.SIGINT)
    os.killpg(process.pid, signal.SIGINT)
    assert_nothing_left(process, started, before)
    assert "Traceback" not in (checkout / "var" / "frontend.log").read_text()


def variables_of(pid: int) -> dict[str, str]:
    pairs = Path(f"/proc/{pid}/environ").read_text().rstrip("\0").split("\0")
    return dict(pair.partition("=")[::2] for pair in pairs)


def running(pids: list[int], program: bytes) -> list[int]:
    return [pid for pid in pids if program in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]]


def metadata_of(grpc_url: str) -> dict[str, str]:
    """What the model at an address says of itself."""
    with InferenceServerClient(grpc_url) as client:
        config = client.get_model_config("cough_cnn").config
        return {name: value.string_value for name, value in config.parameters.items()}


@contextmanager
def killed_on_failure(process: subprocess.Popen[str]) -> Iterator[None]:
    """A test that fails leaves no servers behind, on which the next ones would wait."""
    try:
        yield
    except BaseException:
        process.kill()  # what it has started goes with it
        process.communicate()
        raise


def test_a_candidate_runs_beside_the_first_and_ends_with_it(tmp_path: Path) -> None:
    checkout = copy_checkout(tmp_path / "a folder with 'quotes'")
    release = checkout / "releases" / "other one"
    shutil.copytree(CHECKOUT / "model_repository", release)
    own, text = release / "cough_cnn" / "config.pbtxt", "parameters"
    assert text in own.read_text()
    own.write_text(own.read_text() + 'parameters { key: "mark" value { string_value: "the candidate" } }\n')
    before = leftovers()
    process, printed = started_with(checkout, *run_arguments(), "--candidate", "releases/other one")
    with killed_on_failure(process):
        started = descendants(process.pid)
        assert len(running(started, b"tritonserver")) == 2
        (front_end,) = [pid for pid in started if b"frontend\0" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        told = variables_of(front_end)
        (first,) = re.findall(r"^Triton's gRPC: +(\S+)$", printed, re.MULTILINE)
        (second,) = re.findall(
            r"^Candidate's gRPC: (\S+) \(releases/other one; docs/rollout\.md\)$", printed, re.MULTILINE
        )
        assert (told["TRITON_URL"], told["CANDIDATE_TRITON_URL"]) == (first, second)
        assert "mark" not in metadata_of(first)
        assert metadata_of(second)["mark"] == "the candidate"

        def servers() -> dict[str, int]:
            """Address -> the server that listens there."""
            pids = running(descendants(process.pid), b"tritonserver")
            ports = {pid: Path(f"/proc/{pid}/cmdline").read_bytes().decode() for pid in pids}
            return {
                url: pid
                for url in (first, second)
                for pid in pids
                if f"--grpc-port={url.split(':')[1]}\0" in ports[pid]
            }

        os.kill(servers()[second], signal.SIGKILL)
        assert process.stderr is not None
        said = process.stderr.readline()
        assert re.fullmatch(
            r"tosia: The candidate's Triton has ended \([^\n]*\); calls are served without it [^\n]*\n", said
        )
        record = paste_curl_line(printed, tmp_path)
        assert (record["state"], record["diagnosis"]["status"]) == ("diagnosed", "ok")
        assert first in servers()
        os.killpg(process.pid, signal.SIGINT)
        assert_nothing_left(process, started, before)


def test_a_candidate_is_stopped_before_the_rest_is_called_stopped(tmp_path: Path) -> None:
    """Not only by its warden, which would end it soon after us."""
    port, metrics_port = free_ports(2)
    beside = CHECKOUT / "model_repository"
    others = running(descendants(os.getpid()), b"tritonserver")  # of other tests
    with Service(port=port, metrics_port=metrics_port, api_key=SECRET, var=tmp_path, candidate=beside):
        started = [pid for pid in running(descendants(os.getpid()), b"tritonserver") if pid not in others]
        assert len(started) == 2
    assert [pid for pid in started if is_running(pid)] == []


def test_a_candidate_that_triton_refuses_ends_the_start_with_one_line(tmp_path: Path) -> None:
    checkout = copy_checkout(tmp_path)
    release = checkout / "other"
    shutil.copytree(CHECKOUT / "model_repository", release)
    for file in release.glob("cough_cnn/*/model.onnx"):
        file.write_bytes(b"no model")
    before = leftovers()
    process = laptop(checkout, *run_arguments(), "--candidate", "other")
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (1, "")
    assert re.fullmatch(r"tosia: Triton did not start: [^\n]*candidate\.log[^\n]*\n", errors)
    wait_for(lambda: leftovers() <= before, "no shared memory and no scratch folder stays")


@pytest.mark.system
def test_run_with_a_key_of_one_s_own_until_sigterm(tmp_path: Path) -> None:
    checkout = copy_checkout(tmp_path)
    before = leftovers()
    process, printed = start(checkout, API_KEY=f"first:old-key,second:{SECRET}")
    started = descendants(process.pid)
    assert SECRET not in printed
    assert not (checkout / "var" / "api_key").exists()
    record = paste_curl_line(printed, Path("/"), API_KEY=f"first:old-key,second:{SECRET}")
    assert record["state"] == "diagnosed"
    process.terminate()
    assert_nothing_left(process, started, before)
    for log in (checkout / "var").glob("*.log"):
        assert SECRET not in log.read_text(errors="replace")


def test_the_terminal_is_closed_while_it_starts(tmp_path: Path) -> None:
    before = leftovers()
    process = laptop(copy_checkout(tmp_path), *run_arguments())
    wait_for(lambda: len(descendants(process.pid)) >= 3, "it has begun to start others")
    started = descendants(process.pid)
    process.send_signal(signal.SIGHUP)
    assert_nothing_left(process, started, before)


@pytest.mark.system
def test_what_was_started_goes_even_when_run_is_killed(tmp_path: Path) -> None:
    process, _ = start(copy_checkout(tmp_path))
    started = descendants(process.pid)
    process.kill()
    process.communicate()
    wait_for(lambda: not any(is_running(pid) for pid in started), "every process has ended")


@pytest.mark.system
def test_a_part_that_dies_ends_the_run_with_one_line(tmp_path: Path) -> None:
    process, _ = start(copy_checkout(tmp_path))
    started = descendants(process.pid)
    (front_end,) = [pid for pid in started if b"frontend\0" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(front_end, signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert re.fullmatch(r"tosia: The front end has ended \(-9\): read [^\n]*frontend\.log[^\n]*\.\n", errors)
    wait_for(lambda: not any(is_running(pid) for pid in started), "every process has ended")


@pytest.mark.system
def test_triton_is_started_again_where_its_model_or_itself_has_died(tmp_path: Path) -> None:
    checkout = copy_checkout(tmp_path)
    process, printed = start(checkout)
    api, key = url_of(printed), (checkout / "var" / "api_key").read_text().strip()
    told = []
    for name, lines in ((b"triton_python_backend_stub\0", 1), (b"tritonserver\0", 1)):
        before = descendants(process.pid)
        for pid in before:
            if name in Path(f"/proc/{pid}/cmdline").read_bytes().partition(b"\0")[0] + b"\0":
                os.kill(pid, signal.SIGKILL)
        record = paste_curl_line(printed, tmp_path)
        assert process.stderr is not None
        told += [process.stderr.readline() for _ in range(lines)]

        def state(call_id: str = str(record["call_id"])) -> str:
            return str(
                httpx.get(f"{api}/v1/calls/{call_id}", headers={"X-API-Key": key}, trust_env=False).json()["state"]
            )

        wait_for(lambda: state() == "diagnosed", "the call that came meanwhile is finished")
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output, errors) == (0, "", "")
    assert told[0] == "tosia: Triton's model does not answer: it is started again.\n"
    assert re.fullmatch(r"tosia: Triton has ended \([^\n]*\): it is started again\.\n", told[1])


@pytest.mark.system
def test_a_second_run_in_one_checkout_is_refused(tmp_path: Path) -> None:
    checkout = copy_checkout(tmp_path)
    first, _ = start(checkout)
    try:
        second = laptop(checkout, *run_arguments())
        output, errors = second.communicate(timeout=60)
    finally:
        first.send_signal(signal.SIGTERM)
        first.communicate(timeout=60)
    assert (second.returncode, output) == (2, "")
    assert re.fullmatch(r"tosia: Another `make run` uses var/[^\n]*\.\n", errors)
    assert first.returncode == 0
