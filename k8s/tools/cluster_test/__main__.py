"""`make test-cluster KUBECONFIG=...`: the verbs of `make -C k8s` on a real API server.

Exits 0 where every case ran and passed; 1 where one failed; 2 where nothing could start; 3 where all that ran passed,
and some could not run. make turns each code but 0 into 2, so the last line says it, too.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from k8s.tools.cluster_test.cases import BEFORE_DEFINITIONS, CASES, Case
from k8s.tools.cluster_test.server import Kubelet, NotRun, Server, definitions, nodes


def main(environ: Mapping[str, str] = os.environ) -> int:
    if not environ.get("KUBECONFIG"):
        return _refuse("KUBECONFIG names no server: make test-cluster KUBECONFIG=path/to/config")
    program = shutil.which(environ.get("KUBECTL", "") or "kubectl")
    if program is None:
        return _refuse("kubectl is missing")
    context = environ.get("CONTEXT", "") or Server(program, "").kubectl("config", "current-context").out.strip()
    server = Server(program, context)
    if server.kubectl("version").code:
        return _refuse(f"the context {context or 'current'} can't be reached")
    there = [name for name in ("tosia", "tosia-gateway", "gpu-resources") if server.get("namespace", name)]
    if there and environ.get("TAKE_NAMESPACE") != "1":
        return _refuse(
            f"this server has a namespace {' and '.join(there)}, which would be deleted: TAKE_NAMESPACE=1 says it may"
        )
    folder = Path(environ.get("CRDS", "") or "../shared/crds")
    return run(server, folder)


def run(server: Server, folder: Path) -> int:
    """Run all cases. folder: definitions of custom kinds, for those that the server lacks"""
    results = run_cases(server, BEFORE_DEFINITIONS)
    added = [file for file in definitions(folder) if _add(server, file)]
    kubelet = None
    try:
        if not server.get("nodes").get("items"):
            kubelet = _bring_nodes(server)
        results += run_cases(server, CASES)
    finally:
        server.verb("delete", {"SURE": "tosia"})
        if kubelet is not None:
            kubelet.stop()
            server.kubectl("delete", "node", *(one["metadata"]["name"] for one in nodes()), "--ignore-not-found")
        for file in added:
            server.kubectl("delete", "-f", str(file), "--ignore-not-found")
    failed, missed = results.count("failed"), results.count("not run")
    print(f"test-cluster: {len(results)} cases, {failed} failed, {missed} not run.")
    return 1 if failed else 3 if missed else 0


def run_cases(server: Server, cases: Sequence[Case]) -> list[str]:
    """Return `passed`, `failed` or `not run` for each."""
    results = []
    for case in cases:
        try:
            wrong = case.run(server)
        except NotRun as error:
            print(f"not run: {case.name}: {error}", flush=True)
            results.append("not run")
            continue
        except Exception as error:  # noqa: BLE001 - a case that ends badly has failed, and the others still run
            wrong = [f"{type(error).__name__}: {error}"]
        print(f"{'failed' if wrong else 'passed'}: {case.name}", flush=True)
        for line in wrong:
            print(f"    {line}", flush=True)
        results.append("failed" if wrong else "passed")
    return results


def _add(server: Server, file: Path) -> bool:
    """Add definitions that the server lacks, without which nothing could be tried; whether they are ours now."""
    group, _, plural = file.stem.partition("_")
    if not plural or server.get("crd", f"{plural}.{group}"):
        return False
    return server.kubectl("apply", "--server-side", "--field-manager=tosia-test", "-f", str(file)).code == 0


def _bring_nodes(server: Server) -> Kubelet:
    for one in nodes():
        server.apply({key: value for key, value in one.items() if key != "status"})
    kubelet = Kubelet(server)
    kubelet.start()
    # A controller of the controller manager makes it in each namespace.
    server.makes_pods_ready = bool(server.get("serviceaccount", "default", namespace="default"))
    return kubelet


def _refuse(text: str) -> int:
    print(f"test-cluster: {text}.", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
