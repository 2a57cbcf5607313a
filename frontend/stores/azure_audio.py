"""Audio in Azure Blob Storage."""

from __future__ import annotations

from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobProperties
from azure.storage.blob.aio import BlobServiceClient, ContainerClient, ExponentialRetry

from frontend.configuration.settings import AzureSettings
from frontend.domain.deadline import Deadline
from frontend.domain.errors import BodyTooLarge, StoreUnavailable
from frontend.domain.records import now
from frontend.stores.azure_call import CONNECT_S, READ_S, azure_call
from frontend.stores.azure_identity import TokenCredential, TokenTransport
from frontend.stores.protocols import Blob

SERVICE = "audio_store"
LOOKBACK_S = 86_400.0
_WHOLE_BYTES = 64 * 1024 * 1024  # each recording is sent and read in one request, so it is whole or absent


class BlobAudioStore:
    """Satisfies `protocols.AudioStore`. Errors are recognised by status: Azure and Azurite raise different types."""

    lookback_s: float | None = LOOKBACK_S

    def __init__(self, settings: AzureSettings, credential: TokenCredential | None) -> None:
        """Keep the settings. credential: used if the settings have an endpoint instead of a connection string."""
        options: dict[str, Any] = {
            # Two retries, each after a second; the SDK's default pauses begin at 15 s, longer than a request may take.
            "retry_policy": ExponentialRetry(initial_backoff=0, increment_base=1, retry_total=2, random_jitter_range=0),
            "transport": TokenTransport(credential, connection_timeout=CONNECT_S, read_timeout=READ_S),
            "max_single_put_size": _WHOLE_BYTES,
            "max_single_get_size": _WHOLE_BYTES,
        }
        if settings.blob_connection is not None:
            connection = settings.blob_connection.get_secret_value()
            self._service = BlobServiceClient.from_connection_string(connection, **options)
        else:
            self._service = BlobServiceClient(settings.blob_endpoint, credential, **options)
        self._container: ContainerClient = self._service.get_container_client(settings.blob_container)

    async def write(self, name: str, data: bytes, deadline: Deadline) -> None:
        blob = self._container.get_blob_client(name)
        async with azure_call(SERVICE, deadline):
            for _ in range(3):  # a sweep may remove the blob between the two requests
                try:
                    await blob.upload_blob(data, length=len(data), overwrite=False)
                except HttpResponseError as error:
                    if error.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
                        raise BodyTooLarge("too_large_for_store") from error
                    if error.status_code not in (HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED):
                        raise
                else:
                    return
                # The same bytes are already stored, since the name contains their digest; the new time protects them
                # from sweeps.
                try:
                    await blob.set_blob_metadata({"written_again": now()})
                except HttpResponseError as error:
                    if error.status_code != HTTPStatus.NOT_FOUND:
                        raise
                else:
                    return
        raise StoreUnavailable("audio_removed_while_written")

    async def read(self, name: str, deadline: Deadline) -> bytes | None:
        async with azure_call(SERVICE, deadline):
            try:
                download = await self._container.download_blob(name)
                data: bytes = await download.readall()
            except HttpResponseError as error:
                if error.status_code != HTTPStatus.NOT_FOUND:
                    raise
                return None
            return data

    async def read_piece(self, name: str, start: int, end: int, deadline: Deadline) -> bytes | None:
        async with azure_call(SERVICE, deadline):
            try:
                download = await self._container.download_blob(name, offset=start, length=end - start)
                data: bytes = await download.readall()
            except HttpResponseError as error:
                if error.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                    return b""
                if error.status_code != HTTPStatus.NOT_FOUND:
                    raise
                return None
            return data

    async def size(self, name: str, deadline: Deadline) -> int | None:
        async with azure_call(SERVICE, deadline):
            try:
                properties = await self._container.get_blob_client(name).get_blob_properties()
            except HttpResponseError as error:
                if error.status_code != HTTPStatus.NOT_FOUND:
                    raise
                return None
            return int(properties.size)

    async def find(self, call_id: str, deadline: Deadline) -> str | None:
        async with azure_call(SERVICE, deadline):
            async for blob in self._container.list_blobs(f"{call_id}."):
                if _is_audio_of(blob, call_id):
                    return str(blob.name)
        return None

    async def erase(self, call_id: str, deadline: Deadline) -> None:
        async with azure_call(SERVICE, deadline):
            names = [
                blob.name async for blob in self._container.list_blobs(f"{call_id}.") if _is_audio_of(blob, call_id)
            ]
            names += [blob.name async for blob in self._container.list_blobs(f"calls/{call_id}/")]
            for name in names:
                await self._delete(name)

    async def blobs(self, page_s: float) -> AsyncIterator[Blob]:
        pages = self._container.list_blobs("calls/").by_page()
        while True:
            # This block ends before each `yield`: the caller's work is not part of our request.
            async with azure_call(SERVICE, Deadline.after(page_s)):
                try:
                    page = [Blob(blob.name, blob.last_modified, blob.etag) async for blob in await anext(pages)]
                except StopAsyncIteration:
                    return
            for item in page:
                yield item

    async def remove(self, blob: Blob, deadline: Deadline) -> bool:
        async with azure_call(SERVICE, deadline):
            try:
                await self._delete(blob.name, etag=blob.etag, match_condition=MatchConditions.IfNotModified)
            except HttpResponseError as error:
                if error.status_code != HTTPStatus.PRECONDITION_FAILED:
                    raise
                return False
        return True

    async def ping(self, deadline: Deadline) -> None:
        async with azure_call(SERVICE, deadline):
            async for _ in self._container.list_blobs("calls/", results_per_page=1):
                break

    async def close(self) -> None:
        await self._service.close()

    async def _delete(self, name: str, **conditions: Any) -> None:
        try:
            await self._container.delete_blob(name, delete_snapshots="include", **conditions)
        except HttpResponseError as error:
            if error.status_code != HTTPStatus.NOT_FOUND:
                raise


def _is_audio_of(blob: BlobProperties, call_id: str) -> bool:
    """`a.wav` is audio of `a`; `a.b.wav` is that of `a.b`."""
    stem, dot, suffix = blob.name.rpartition(".")
    return bool(dot and suffix and stem == call_id and "/" not in suffix)
