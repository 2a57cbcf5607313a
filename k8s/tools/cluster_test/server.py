"""A server to try on: kubectl and the verbs, and nodes and ready pods where no kubelet brings them.

There is no other client: what a kubelet would write is written with `kubectl patch --subresource=status`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from k8s.tools.deploy.deployments import condition
from k8s.tools.deploy.environment import CHECKOUT, MANIFESTS
from k8s.tools.deploy.kubectl import Object

OURS = "tosia-test"  # begins the name of each node that we make
HEARTBEAT_S, LOOK_S, PATIENCE_S = 10.0, 1.0, 120.0
VERB_S = 900.0  # a verb that takes longer is ended
PATIENT_LOOKS = 20  # after so many a pod is taken for one of a server without a scheduler


class NotRun(Exception):
    """This server can't show it. The message begins with "needs"."""


@dataclass(frozen=True, slots=True)
class Said:
    """A program's end. text: stdout and stderr"""

    code: int
    text: str
    out: str


class Server:
    """context: kubectl's. bad: tags of images whose pods never get ready"""

    def __init__(self, program: str, context: str) -> None:
        self.program, self.context = program, context
        self.bad: set[str] = set()
        self.makes_pods_ready = False

    def kubectl(self, *arguments: str, stdin: str | None = None) -> Said:
        command = [self.program, f"--context={self.context}", *arguments]
        run = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=VERB_S)
        return Said(run.returncode, run.stdout + run.stderr, run.stdout)

    def verb(self, verb: str, environ: Mapping[str, str], *, until: str = "") -> Said:
        """Run `make -C k8s VERB`. until: end it once a line holds this text"""
        own = {"CONTEXT": self.context, "KUBECTL": self.program}
        names = ("PATH", "HOME", "KUBECONFIG", "TMPDIR")
        kept = {name: os.environ[name] for name in names if name in os.environ}
        run = subprocess.Popen(
            [shutil.which("make") or "make", "-C", str(CHECKOUT / "k8s"), verb],
            env={**kept, **own, **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        lines: list[str] = []
        killer = threading.Timer(VERB_S, _end, [run])
        killer.start()
        try:
            for line in run.stdout or ():
                lines.append(line)
                if until and until in line:
                    _end(run)
        finally:
            killer.cancel()
        return Said(run.wait(), "".join(lines), "".join(lines))

    def get(self, *arguments: str, namespace: str = "tosia") -> Object:
        """Return what `kubectl get` answers; {} where there is nothing, or the kind is unknown."""
        said = self.kubectl(f"--namespace={namespace}", "get", *arguments, "--ignore-not-found", "-o=json")
        found: Object = json.loads(said.out) if said.code == 0 and said.out.strip() else {}
        return found

    def until(self, holds: Callable[[], bool]) -> bool:
        """Wait for what the controllers do; whether it came."""
        ended = time.monotonic() + PATIENCE_S
        while not holds():
            if time.monotonic() > ended:
                return False
            time.sleep(LOOK_S)
        return True

    def apply(self, item: Object) -> Said:
        return self.kubectl("apply", "--server-side", "--field-manager=tosia-test", "-f", "-", stdin=json.dumps(item))


def _end(run: subprocess.Popen[str]) -> None:
    if run.poll() is None:
        os.killpg(run.pid, 15)


def folders() -> list[str]:
    """Return the folders of k8s/manifests that are applied."""
    patterns = (
        *("overlays/*", "gpu-nodepool", "gpu-nodepool/device-plugin", "tensorrt-plan", "perf-analyzer"),
        *("candidate/azure", "candidate/cpu"),
    )
    found = [file for pattern in patterns for file in MANIFESTS.glob(f"{pattern}/kustomization.yaml")]
    return sorted(file.parent.relative_to(MANIFESTS).as_posix() for file in found)


def node(name: str, *, cores: str, labels: Mapping[str, str], taints: list[Object], gpus: str = "0") -> Object:
    own = {"kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64", "kubernetes.io/hostname": name}
    metadata = {"name": name, "labels": {**own, **labels}}
    capacity = {"cpu": cores, "memory": "64Gi", "pods": "110", "ephemeral-storage": "200Gi"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": metadata,
        "spec": {"taints": taints},
        "status": {"capacity": capacity | ({"nvidia.com/gpu": gpus} if gpus != "0" else {})},
    }


def nodes() -> list[Object]:
    """Return the nodes of a small cluster: one for everything else, a GPU on demand, a GPU on spot."""
    gpu: Object = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}
    spot: Object = {"key": "kubernetes.azure.com/scalesetpriority", "value": "spot", "effect": "NoSchedule"}
    pool = {"tosia/pool": "gpu"}
    kind = "karpenter.sh/capacity-type"
    priority = {"kubernetes.azure.com/scalesetpriority": "spot"}
    return [
        node(f"{OURS}-cpu", cores="32", labels={}, taints=[]),
        node(f"{OURS}-on-demand", cores="3860m", labels={**pool, kind: "on-demand"}, taints=[gpu], gpus="1"),
        node(f"{OURS}-spot", cores="3860m", labels={**pool, kind: "spot", **priority}, taints=[gpu, spot], gpus="1"),
    ]


class Kubelet(threading.Thread):
    """Writes what kubelets would: heartbeats of our own nodes, and the state of the pods on them."""

    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        self._server, self._ended, self._beaten = server, threading.Event(), 0.0
        self._looks: Counter[str] = Counter()  # at each pod that no scheduler has looked at

    def run(self) -> None:
        while not self._ended.wait(LOOK_S):
            self.step()

    def stop(self) -> None:
        self._ended.set()
        self.join()

    def step(self) -> None:
        if time.monotonic() - self._beaten > HEARTBEAT_S:
            self._beaten = time.monotonic()
            for one in nodes():
                status = {**one["status"], "allocatable": one["status"]["capacity"], "conditions": [_ready_node()]}
                self._patch("", "node", one["metadata"]["name"], status)
        for pod in self._server.get("pods", "--all-namespaces").get("items") or []:
            self._pod(pod)

    def _pod(self, pod: Object) -> None:
        metadata, spec = pod["metadata"], pod.get("spec", {})
        if not spec.get("nodeName") and not condition(pod, "PodScheduled"):
            self._looks[metadata["name"]] += 1
            if self._looks[metadata["name"]] < PATIENT_LOOKS:
                return
        elif not str(spec.get("nodeName", "")).startswith(OURS):
            return
        where = f"--namespace={metadata['namespace']}"
        if "deletionTimestamp" in metadata:  # only a kubelet confirms that a pod has ended
            self._server.kubectl(
                where, "delete", "pod", metadata["name"], "--grace-period=0", "--force", "--wait=false"
            )
        elif not pod.get("status", {}).get("containerStatuses"):
            self._patch(metadata["namespace"], "pod", metadata["name"], status_of(pod, self._server.bad))

    def _patch(self, namespace: str, kind: str, name: str, status: Object) -> None:
        where = [f"--namespace={namespace}"] if namespace else []
        self._server.kubectl(
            *where,
            "patch",
            kind,
            name,
            "--subresource=status",
            "--type=strategic",
            f"-p={json.dumps({'status': status})}",
        )


def status_of(pod: Object, bad: set[str]) -> Object:
    """Return the status that a kubelet would give: ready, ended (a Job's), or an image that can't be pulled."""
    containers = pod["spec"]["containers"]
    ends = pod["spec"].get("restartPolicy") == "Never"
    pulled = not any(str(item["image"]).rpartition(":")[2] in bad for item in containers)
    state: Object = {"running": {}} if pulled else {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off"}}
    if ends:
        state = {"terminated": {"exitCode": 0, "reason": "Completed"}}
    ready = pulled and not ends
    statuses = [
        {"name": item["name"], "image": item["image"], "imageID": "", "ready": ready, "restartCount": 0, "state": state}
        for item in containers
    ]
    phase = "Succeeded" if ends else "Running" if pulled else "Pending"
    conditions = [{"type": kind, "status": str(ready)} for kind in ("Ready", "ContainersReady")]
    return {"phase": phase, "conditions": conditions, "containerStatuses": statuses}


def _ready_node() -> Object:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": now}


def definitions(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.yaml"))
