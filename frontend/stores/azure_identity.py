"""The identity of this process on Azure, if the settings use it instead of keys."""

from __future__ import annotations

from azure.core.credentials_async import AsyncTokenCredential as TokenCredential
from azure.identity.aio import DefaultAzureCredential

__all__ = ["TokenCredential", "workload_credential"]


def workload_credential() -> DefaultAzureCredential:
    """Return the workload identity of the pod's service account in a cluster; elsewhere the identity that the machine
    is signed in with.
    """
    return DefaultAzureCredential(exclude_interactive_browser_credential=True)
