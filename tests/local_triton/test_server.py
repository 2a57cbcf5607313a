"""A server's life: it leaves nothing behind, whoever ends it, and says in one line why it did not start."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local_triton import MissingRepositoryError, PortInUseError, ServerFailedError, TritonServer
from local_triton.environment import CHECKOUT
from local_triton.ports import free_ports
from tests.local_triton.leftovers import leftovers
from tests.local_triton.tiny_models import CONFIG, add_model, save_model


def descendants(pid: int) -> set[int]:
    """Processes below one, with those that run in groups of their own."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it has just ended
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def run_module(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "local_triton", *arguments],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_stop_leaves_nothing_behind(tiny_repository: Path, tmp_path: Path) -> None:
    before, left = descendants(os.getpid()), leftovers()
    # Started from a thread that ends: that must not end the server.
    server = TritonServer(tiny_repository, log=tmp_path / "new folder" / "triton.log")
    starter = threading.Thread(target=server.start)
    starter.start()
    starter.join()
    try:
        with urllib.request.urlopen(server.metrics_url, timeout=5) as metrics:
            assert b"nv_inference_count" in metrics.read()
        started = descendants(os.getpid()) - before
        assert len(started) >= 3  # warden, tritonserver, a stub
        assert any("tosia_triton_" in Path(f"/proc/{pid}/maps").read_text() for pid in started)
        assert server.poll() is None
    finally:
        server.stop()
    assert not any(map(is_running, started))
    assert wait_until(lambda: leftovers() <= left, seconds=10)
    server.stop()  # again: nothing happens


def test_only_loopback_is_bound(triton: TritonServer) -> None:
    # gRPC listens on the IPv6 form of 127.0.0.1. Each line: number, local address, remote address, state (0A: listen)
    tables = "".join(Path(f"/proc/net/{table}").read_text() for table in ("tcp", "tcp6"))
    listening = [line.split()[1].split(":") for line in tables.splitlines() if " 0A " in line]
    for port in (triton.http_port, triton.grpc_port, triton.metrics_port):
        addresses = {address for address, hex_port in listening if int(hex_port, 16) == port}
        assert addresses
        assert addresses <= {"0100007F", "0000000000000000FFFF00000100007F"}


@pytest.mark.system
def test_goes_when_its_parent_is_killed(tiny_repository: Path, tmp_path: Path) -> None:
    left = leftovers()
    code = (
        "import sys, time; from pathlib import Path; from local_triton import TritonServer\n"
        "TritonServer(Path(sys.argv[1]), log=Path(sys.argv[2])).start(); print('ready', flush=True); time.sleep(600)"
    )
    arguments = [sys.executable, "-c", code, str(tiny_repository), str(tmp_path / "triton.log")]
    with subprocess.Popen(arguments, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ready\n"
        started = descendants(parent.pid)
        assert len(started) >= 3
        parent.kill()
    assert wait_until(lambda: not any(map(is_running, started)), seconds=10)
    assert wait_until(lambda: leftovers() <= left, seconds=10)


def test_a_refused_model_ends_the_start_with_its_reason(tmp_path: Path) -> None:
    before, left = descendants(os.getpid()), leftovers()
    repository = tmp_path / "repository"
    save_model(add_model(repository, "wrong", CONFIG.replace("dims: [2]", "dims: [3]")))
    with pytest.raises(ServerFailedError) as caught:
        TritonServer(repository, log=tmp_path / "triton.log").start()
    message = str(caught.value)
    assert "refuses the model wrong: output 'twice': config.pbtxt makes its shape [-1, 3]" in message
    assert str(tmp_path / "triton.log") in message
    assert "\n" not in message
    assert len(message) < 400
    assert not any(map(is_running, descendants(os.getpid()) - before))
    assert wait_until(lambda: leftovers() <= left, seconds=10)


def test_port_in_use_is_named(tiny_repository: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortInUseError, match=f"Port {port} for Triton's gRPC is in use"):
            TritonServer(tiny_repository, log=tmp_path / "log", grpc_port=port).start()
        process = run_module("--model-repository", str(tiny_repository), "--http-port", str(port))
        output, errors = process.communicate(timeout=20)
    assert (process.returncode, output) == (2, "")
    assert f"Port {port} for Triton's HTTP is in use" in errors
    assert errors.count("\n") == 1


def test_missing_repository(tmp_path: Path) -> None:
    with pytest.raises(MissingRepositoryError, match=r"no model repository at .*nowhere: `make export`"):
        TritonServer(tmp_path / "nowhere", log=tmp_path / "log").start()


@pytest.fixture
def module(tiny_repository: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """`python -m local_triton`, ready, on free ports."""
    arguments = ["--model-repository", str(tiny_repository), "--log", str(tmp_path / "triton.log")]
    for purpose, port in zip(("http", "grpc", "metrics"), free_ports(3), strict=True):
        arguments += [f"--{purpose}-port", str(port)]
    with run_module(*arguments) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("Triton: gRPC 127.0.0.1:")
        yield process
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_module_serves_until_it_is_told_to_stop(number: int, module: subprocess.Popen[str]) -> None:
    started = descendants(module.pid)
    module.send_signal(number)
    output, errors = module.communicate(timeout=20)
    assert (module.returncode, output, errors) == (0, "", "")
    assert not any(map(is_running, started))


def test_the_module_says_when_triton_ends_by_itself(module: subprocess.Popen[str]) -> None:
    started = descendants(module.pid)
    (server,) = [pid for pid in started if "tritonserver" in Path(f"/proc/{pid}/comm").read_text()]
    os.kill(server, signal.SIGKILL)
    _, errors = module.communicate(timeout=20)
    assert module.returncode == 1
    assert errors.startswith("local_triton: Triton ended by itself (137): ")
    assert errors.count("\n") == 1
    assert not any(map(is_running, started))


def test_wrong_command_line() -> None:
    process = run_module("--http-port", "99999")
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 2
    assert "99999 is not a port from 1 to 65535" in errors
