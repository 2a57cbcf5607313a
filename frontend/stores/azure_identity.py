"""The identity of this process on Azure, where the settings ask for it instead of keys."""

from __future__ import annotations

from azure.core.credentials_async import AsyncTokenCredential as TokenCredential
from azure.identity.aio import DefaultAzureCredential

__all__ = ["TokenCredential", "workload_credential"]


def workload_credential() -> DefaultAzureCredential:
    """In a cluster: the workload identity that the pod's service account stands for; elsewhere what the machine is
    signed in as.
    """
    return DefaultAzureCredential(exclude_interactive_browser_credential=True)
