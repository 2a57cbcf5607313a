"""Upload a release to the blob container, under a path of its own that is never written again; and fetch one from
there.

The manifest goes last, so a half upload is never taken for a release; a second run goes on where the first one stopped.
Triton on AKS reads the path directly (`as://account/container/path`).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ServiceRequestError,
)
from azure.identity import DefaultAzureCredential
from azure.storage.blob import BlobProperties, BlobServiceClient, ContainerClient

from export.errors import PublishError, ReleaseError, SettingsMissingError
from export.releases.release import MANIFEST
from export.releases.repository import Release, problems_of, read_release
from runtime.atomic_write import atomic_folder

FOLDER = "releases"
SHA256 = "sha256"  # a blob's metadata
RETRIES = 3

Progress = Callable[[int], object]  # bytes that are there


def container_of(environment: Mapping[str, str] = os.environ) -> ContainerClient:
    """The container that BLOB_CONTAINER names, by BLOB_CONNECTION, or by BLOB_ENDPOINT and the identity of this
    machine.

    Raises: PublishError naming all that is missing or can't be used.
    """
    connection, endpoint = environment.get("BLOB_CONNECTION"), environment.get("BLOB_ENDPOINT")
    container = environment.get("BLOB_CONTAINER")
    missing = [] if connection or endpoint else ["BLOB_CONNECTION (or BLOB_ENDPOINT for an identity)"]
    missing += [] if container else ["BLOB_CONTAINER"]
    if missing or not container:
        raise SettingsMissingError(f"Set {' and '.join(missing)} in the environment.")
    try:
        service = (
            BlobServiceClient.from_connection_string(connection, retry_total=RETRIES)
            if connection
            else BlobServiceClient(str(endpoint), credential=DefaultAzureCredential(), retry_total=RETRIES)
        )
    except ValueError as error:
        raise PublishError(
            "BLOB_CONNECTION or BLOB_ENDPOINT can't be read: copy it from the storage account."
        ) from error
    client = service.get_container_client(container)
    if not client.account_name:
        raise PublishError("BLOB_ENDPOINT does not name an account: give https://ACCOUNT.blob.core.windows.net.")
    return client


def path_of(release: Release) -> str:
    """In the container: its number for people, its manifest's digest so that no two releases share a path.

    A plan has the number of the release that it was built of, and says so.
    """
    kind = "" if release.format == "onnx" else f"{release.format}-"
    return f"{FOLDER}/{release.number}-{kind}{release.manifest_sha256[:12]}"


def triton_path(container: ContainerClient, path: str) -> str:
    """As `tritonserver --model-repository` takes it."""
    return f"as://{container.account_name}/{container.container_name}/{path}"


def publish(release: Release, container: ContainerClient, progress: Progress = lambda _: None) -> str:
    """Upload what is not there yet; the path in the container.

    Raises: ReleaseError where the release is altered; PublishError where the container can't be used, or where the path
    holds something else, which is left as it is.
    """
    problems = list(problems_of(release))
    if problems:
        raise ReleaseError(f"Release {release.number} is not published: {problems[0]}")
    path = path_of(release)
    names = [*sorted(release.manifest["files"]), MANIFEST]  # the manifest last
    with _translated(container):
        there = {blob.name: blob for blob in container.list_blobs(f"{path}/", include=["metadata"])}
        strangers = sorted(there.keys() - {f"{path}/{name}" for name in names})
        if strangers:
            raise PublishError(f"{strangers[0]} is no file of the release: remove what lies under {path}/.")
        for name in names:
            data = (release.folder / name).read_bytes()
            blob = there.get(f"{path}/{name}")
            if blob is None:
                _upload(container, f"{path}/{name}", data)
            else:
                _require_same(blob, data)
            progress(len(data))
    return path


def fetch(container: ContainerClient, path: str, target: Path) -> Release:
    """Download a published release and check every digest.

    Raises: PublishError where there is none, ReleaseError where it is altered or `target` exists.
    """
    if target.exists():
        raise ReleaseError(f"{target.name} exists: give a folder that does not.")
    with atomic_folder(target) as beside:
        _download(container, path, beside)
        release = read_release(beside)
        problems = list(problems_of(release))
        if problems or path != path_of(release):
            raise ReleaseError(f"The release under {path}/ is altered: {(problems or ['the manifest is another'])[0]}")
    return read_release(target)


def _download(container: ContainerClient, path: str, beside: Path) -> None:
    """Every file that the manifest names. Raises: as `fetch`."""
    with _translated(container):
        if not container.get_blob_client(f"{path}/{MANIFEST}").exists():
            raise PublishError(f"There is no release under {path}/ (no {MANIFEST}): publish it first.")
        (beside / MANIFEST).write_bytes(container.download_blob(f"{path}/{MANIFEST}").readall())
        # Only what the manifest names, and names that stay inside: whoever can write a blob must not write files here.
        for name in read_release(beside).manifest["files"]:
            if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                raise ReleaseError(f"The manifest under {path}/ names the file {name!r}: it is no release of ours.")
            blob = container.get_blob_client(f"{path}/{name}")
            if not blob.exists():
                raise ReleaseError(f"The release under {path}/ is altered: {name} is missing.")
            (beside / name).parent.mkdir(parents=True, exist_ok=True)
            (beside / name).write_bytes(blob.download_blob().readall())


def size_of(release: Release) -> int:
    """Bytes that are uploaded."""
    return sum((release.folder / name).stat().st_size for name in (*release.manifest["files"], MANIFEST))


def _upload(container: ContainerClient, name: str, data: bytes) -> None:
    """Only where nothing is: two that publish at once can't overwrite each other."""
    digest = hashlib.sha256(data).hexdigest()
    try:
        container.upload_blob(name, data, overwrite=False, metadata={SHA256: digest}, validate_content=True)
    except ResourceExistsError:
        _require_same(container.get_blob_client(name).get_blob_properties(), data)


def _require_same(blob: BlobProperties, data: bytes) -> None:
    if blob.size != len(data) or (blob.metadata or {}).get(SHA256) != hashlib.sha256(data).hexdigest():
        raise PublishError(f"{blob.name} holds something else, and a published path is never written again.")


@contextmanager
def _translated(container: ContainerClient) -> Iterator[None]:
    """The SDK's errors, which may hold addresses and signatures, in a sentence of ours."""
    where = f"the container {container.container_name} of the account {container.account_name}"
    try:
        yield
    except ClientAuthenticationError as error:
        raise PublishError(
            f"{where} refused the key or identity: check it, and its role (Blob Data Contributor)."
        ) from error
    except ServiceRequestError as error:
        raise PublishError(f"{where} can't be reached: check the address and the network.") from error
    except HttpResponseError as error:
        reasons = {
            400: "has a name or an address that the service does not take: correct BLOB_CONTAINER or the endpoint.",
            403: "refused the key or identity: check it, and its role (Blob Data Contributor).",
            404: "does not exist: create it, or correct BLOB_CONTAINER.",
        }
        what = reasons.get(error.status_code or 0, f"answered {error.status_code}: try again, what is there is kept.")
        raise PublishError(f"{where} {what}") from error
    except AzureError as error:
        raise PublishError(
            f"{where} can't be used ({type(error).__name__}): try again, what is there is kept."
        ) from error
