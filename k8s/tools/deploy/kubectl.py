"""kubectl as a program. Manifests go to its stdin, so that nothing secret is ever in a file or on a command line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import Any


class KubectlError(RuntimeError):
    """kubectl is not there, or said no; what it said is on stderr already."""


class Kubectl:
    """context: None: whichever is current. Everything happens in our namespace."""

    def __init__(self, context: str | None, namespace: str = "tosia") -> None:
        program = os.environ.get("KUBECTL", "") or "kubectl"
        found = shutil.which(program)
        if found is None:
            raise KubectlError(f"{program} is not installed: see docs/deploy.md.")
        self._program = found
        self._where = [*([f"--context={context}"] if context else []), f"--namespace={namespace}"]

    def kustomize(self, folder: str) -> str:
        """Renders; asks no cluster. Raises: KubectlError."""
        run = subprocess.run([self._program, "kustomize", folder], stdout=subprocess.PIPE, text=True, check=False)
        if run.returncode:
            raise KubectlError("The manifests can't be rendered.")
        return run.stdout

    def run(self, *arguments: str, stdin: str | None = None, allowed: tuple[int, ...] = (0,)) -> int:
        """Its output goes where ours goes; the exit code, one of those allowed. Raises: KubectlError."""
        run = subprocess.run([self._program, *self._where, *arguments], input=stdin, text=True, check=False)
        if run.returncode not in allowed:
            raise KubectlError(f"kubectl {arguments[0]} failed; what it said is above.")
        return run.returncode

    def apply(self, manifests: str) -> None:
        """By the server's own apply: safe to repeat, fields of others are kept, and no annotation repeats what was
        sent.

        Raises: KubectlError.
        """
        # Ours wins where somebody has edited a field by hand: what is deployed is what the checkout says.
        self.run("apply", "--server-side", "--field-manager=tosia", "--force-conflicts", "-f", "-", stdin=manifests)

    def apply_object(self, manifest: dict[str, Any]) -> None:
        """Raises: KubectlError."""
        self.apply(json.dumps(manifest))

    def ask(self, *arguments: str) -> str:
        """What it prints; empty where there is nothing or it can't be asked."""
        run = subprocess.run([self._program, *self._where, *arguments], capture_output=True, text=True, check=False)
        return run.stdout.strip() if run.returncode == 0 else ""

    def field(self, kind: str, name: str, path: str) -> str:
        """A field of an object, by its JSONPath; empty where the object or the field is not there.

        Raises: KubectlError where the cluster can't be asked: to take that for "not there" would undo what is there.
        """
        arguments = ("get", kind, name, "--ignore-not-found", f"-o=jsonpath={path}")
        run = subprocess.run([self._program, *self._where, *arguments], stdout=subprocess.PIPE, text=True, check=False)
        if run.returncode:
            raise KubectlError(f"{kind} {name} can't be asked for; what kubectl said is above.")
        return run.stdout.strip()
