"""Containers that run Triton: which ones do, how they are started, and what their probes ask."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

from k8s.tools.validate.objects import Object
from runtime.contract import MODEL_NAME

MODEL_READY = f"/v2/models/{MODEL_NAME}/ready"
LIVE = "/v2/health/live"
SERVED = {  # --model-config-name -> what only that configuration has; without a name: config.pbtxt
    "": '"default_model_filename":"model.onnx"',
    "cuda": '"default_model_filename":"padded.onnx"',
}
# Of the startupProbe's script in base/triton. Words in it say nothing about what it does: a changed script is run by
# tests/k8s/test_triton_as_deployed.py against a real server first, then its digest stands here.
SCRIPT_SHA256 = "7fd48d42847d9ddaf66869d68f6de88cc9f5ddb4eab4e86b031ed1d353c56c9f"
START_S = 300  # an image of 20 GB is streamed while the server starts, and CUDA compiles at the first load
_IMAGE = re.compile(r"(.*/)?(tritonserver|triton)([:@](?!.*-sdk).*)?")


def serves_triton(container: Object) -> bool:
    """Whether a container runs Triton: by its name, by its command, or because its image would start one."""
    words = [str(word) for part in ("command", "args") for word in container.get(part) or []]
    if container.get("name") == "triton" or any("tritonserver" in word for word in words):
        return True
    return _IMAGE.fullmatch(str(container.get("image", ""))) is not None and not container.get("command")


def of_triton(container: Object) -> Iterator[str]:
    """Yield what is wrong with the start and the probes of a container that runs Triton."""
    if container.get("command") != ["tritonserver"]:
        yield f"{container.get('name')} starts Triton by {container.get('command')}: only [tritonserver] is judged"
    yield from _of_start(container)
    for name, path in (("readinessProbe", MODEL_READY), ("livenessProbe", LIVE)):
        if name in container and not _asks(container[name], path):
            # On an empty repository the server itself is ready.
            yield f"the {name} asks {_asked(container[name])}: ask {path} by httpGet"


def _of_start(container: Object) -> Iterator[str]:
    """A server starts for nothing but the model, with the configuration that it was told to take."""
    named = next(
        (item.partition("=")[2] for item in container.get("args", []) if item.startswith("--model-config-name=")), ""
    )
    if named not in SERVED:
        yield f"--model-config-name is {named}, a configuration that no release has"
        return
    if named == "cuda" and _variable(container, "NVIDIA_TF32_OVERRIDE") != "0":
        yield "NVIDIA_TF32_OVERRIDE is not 0: TF32 moves scores further than the gate has judged"
    probe = container.get("startupProbe")
    if probe is None:
        return  # safety.disruption demands one where it is needed
    seconds = probe.get("periodSeconds", 10) * probe.get("failureThreshold", 3)
    if seconds < START_S:
        yield f"the startupProbe gives up after {seconds} s: a first start takes up to {START_S} s"
    command = (probe.get("exec") or {}).get("command")
    if command is None:
        if not _asks(probe, MODEL_READY):
            yield f"the startupProbe asks {_asked(probe)}: ask {MODEL_READY} by httpGet"
        if named:
            yield "the startupProbe does not ask for the configuration: Triton takes config.pbtxt silently"
    elif command[:2] != ["python3", "-c"] or len(command) != 4 or _sha256(command[2]) != SCRIPT_SHA256:
        yield (
            "the startupProbe's script is not the one that tests/k8s/test_triton_as_deployed.py has run, so that "
            "perhaps Triton takes config.pbtxt silently"
        )
    elif command[3] != SERVED[named]:
        yield f"the startupProbe waits for {command[3]}, but this configuration has {SERVED[named]}"


def _asks(probe: Object, path: str) -> bool:
    """Whether a probe asks that path of the pod itself, by plain HTTP; references.ports checks the port's name."""
    asked = probe.get("httpGet") or {}
    return asked.keys() == {"path", "port"} and asked["path"] == path and asked["port"] in ("http", 8000)


def _asked(probe: Object) -> str:
    how = next((name for name in ("httpGet", "exec", "tcpSocket", "grpc") if name in probe), "nothing")
    return str(probe["httpGet"].get("path")) if how == "httpGet" else how


def _variable(container: Object, name: str) -> object:
    return next((item.get("value") for item in container.get("env", []) if item["name"] == name), None)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
