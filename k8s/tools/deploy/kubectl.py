"""The program kubectl. Manifests are sent to its stdin, so that no secret is in a file or on a command line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import Any

Object = dict[str, Any]


class KubectlError(RuntimeError):
    """kubectl is missing, or failed; its message is already on stderr."""


class Refused(KubectlError):
    """What the cluster holds forbids the step; nothing was changed. The message is one line."""


class Kubectl:
    """Runs kubectl in our namespace. context: None: the current context."""

    def __init__(self, context: str | None, namespace: str = "tosia") -> None:
        program = os.environ.get("KUBECTL", "") or "kubectl"
        found = shutil.which(program)
        if found is None:
            raise KubectlError(f"{program} is not installed: see docs/deploy.md.")
        self._program = found
        self.context = context
        self._context = [f"--context={context}"] if context else []
        self._where = [*self._context, f"--namespace={namespace}"]

    def kustomize(self, folder: str) -> str:
        """Render a folder without a cluster. Raises: KubectlError."""
        run = subprocess.run([self._program, "kustomize", folder], stdout=subprocess.PIPE, text=True, check=False)
        if run.returncode:
            raise KubectlError("The manifests can't be rendered.")
        return run.stdout

    def run(self, *arguments: str, stdin: str | None = None, allowed: tuple[int, ...] = (0,)) -> int:
        """Run kubectl with our output; return its exit code, one of `allowed`. Raises: KubectlError."""
        return self._run([*self._where, *arguments], arguments[0], stdin, allowed)

    def _run(self, command: list[str], verb: str, stdin: str | None, allowed: tuple[int, ...]) -> int:
        run = subprocess.run([self._program, *command], input=stdin, text=True, check=False)
        if run.returncode not in allowed:
            raise KubectlError(f"kubectl {verb} failed; what it said is above.")
        return run.returncode

    def apply(self, manifests: str) -> None:
        """Apply on the server's side: safe to repeat, fields of others are kept, and no annotation contains the
        manifests.

        Raises: KubectlError.
        """
        # Our value overrides a field that was edited by hand: the checkout defines the deployment.
        self.send("apply", "--server-side", "--field-manager=tosia", "--force-conflicts", "-f", "-", stdin=manifests)

    def send(self, *arguments: str, stdin: str, allowed: tuple[int, ...] = (0,)) -> int:
        """Run kubectl on manifests, as `run`. Each names its own namespace: kubectl refuses others than --namespace.

        Raises: KubectlError.
        """
        return self._run([*self._context, *arguments], arguments[0], stdin, allowed)

    def apply_object(self, manifest: Object) -> None:
        """Apply one object. Raises: KubectlError."""
        self.apply(json.dumps(manifest))

    def ask(self, *arguments: str) -> str:
        """Return kubectl's output; empty where it prints nothing or fails."""
        run = subprocess.run([self._program, *self._where, *arguments], capture_output=True, text=True, check=False)
        return run.stdout.strip() if run.returncode == 0 else ""

    def read(self, *arguments: str) -> Object:
        """Return what `kubectl get ... -o=json` answers, with managed fields; {} where there is no such object.

        Raises: KubectlError where the cluster can't be reached, or does not know the kind.
        """
        # kubectl leaves managed fields out of its JSON unless it is asked for them.
        command = [self._program, *self._where, "get", *arguments, "--ignore-not-found", "-o=json"]
        run = subprocess.run(
            [*command, "--show-managed-fields"], stdout=subprocess.PIPE, text=True, encoding="utf-8", check=False
        )
        if run.returncode:
            raise KubectlError(f"{arguments[0]} can't be asked for; what kubectl said is above.")
        try:
            found = json.loads(run.stdout or "{}")
        except ValueError as error:
            raise KubectlError(f"kubectl's answer on {arguments[0]} is no JSON.") from error
        return found if isinstance(found, dict) else {}

    def names(self, kind: str) -> set[str] | None:
        """Return the names of all objects of a kind; None where the API server does not say."""
        command = [self._program, *self._where, "get", kind, "-o=name"]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        return None if run.returncode else {line.partition("/")[2] for line in run.stdout.split()}

    def keys(self, kind: str, name: str) -> set[str]:
        """Return the names in an object's `data`, without their values; none where the object is missing.

        Raises: KubectlError where the cluster can't be reached.
        """
        template = '{{range $key, $value := .data}}{{$key}}{{"\\n"}}{{end}}'
        arguments = ("get", kind, name, "--ignore-not-found", f"-o=go-template={template}")
        run = subprocess.run([self._program, *self._where, *arguments], stdout=subprocess.PIPE, text=True, check=False)
        if run.returncode:
            raise KubectlError(f"{kind} {name} can't be asked for; what kubectl said is above.")
        return set(run.stdout.split())

    def field(self, kind: str, name: str, path: str) -> str:
        """Return a field of an object, by its JSONPath; empty where the object or the field is missing.

        Raises: KubectlError where the cluster can't be reached: treating that as "missing" would reset existing values.
        """
        arguments = ("get", kind, name, "--ignore-not-found", f"-o=jsonpath={path}")
        run = subprocess.run([self._program, *self._where, *arguments], stdout=subprocess.PIPE, text=True, check=False)
        if run.returncode:
            raise KubectlError(f"{kind} {name} can't be asked for; what kubectl said is above.")
        return run.stdout.strip()
