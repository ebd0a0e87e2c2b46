"""A bucket of Amazon S3 that everybody may read, without an account.

``AWS_ENDPOINT_URL_S3`` names another server that speaks S3, such as a mirror in the lab; that is boto3's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import boto3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from cortexcast_training.fetch.catalogue import FetchError, PublicDataset, RemoteFile, placed

_ATTEMPTS = 6
"""Of a request that a busy server turns away, with longer and longer pauses between."""

_CHUNK = 2**18


class BrokenOffError(Exception):
    """A file came in part. What came is good, and the rest can be asked for."""


class Bucket:
    """Reads a bucket; from several threads at once.

    Args:
        name: the bucket's.
        n_connections: at the same time.
    """

    def __init__(self, name: str, n_connections: int = 1) -> None:
        self._name = name
        self._client = boto3.client(
            "s3",
            region_name="us-east-1",
            config=Config(
                signature_version=UNSIGNED,
                retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
                max_pool_connections=n_connections,
                connect_timeout=10,
                read_timeout=30,
            ),
        )

    def files(self, dataset: PublicDataset) -> list[RemoteFile]:
        """All files of a data set, by path.

        Raises:
            FetchError: they cannot be listed, or there are none.
        """
        found = []
        with self._told("its files"):
            for folder in dataset.folders:
                for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self._name, Prefix=folder):
                    found += [
                        RemoteFile(each["Key"], placed(dataset, each["Key"]), each["Size"], each["ETag"].strip('"'))
                        for each in page.get("Contents", [])
                        if not each["Key"].endswith("/")
                    ]
        if not found:
            raise FetchError(f"s3://{self._name} has nothing in {', '.join(dataset.folders)}")
        return sorted(found, key=lambda file: file.path)

    def text(self, file: RemoteFile) -> str:
        """A small file.

        Raises:
            FetchError: it cannot be read.
        """
        try:
            return b"".join(self.content(file, 0)).decode("utf-8", "replace")
        except BrokenOffError as error:
            raise FetchError(f"{file.path} broke off ({error}): try again") from None

    def content(self, file: RemoteFile, start: int) -> Iterator[bytes]:
        """A file from this byte on, a piece at a time.

        Raises:
            FetchError: it is not there, or not what was listed any more.
            BrokenOffError: the connection was lost on the way.
        """
        with self._told(file.path):
            answer = self._client.get_object(
                Bucket=self._name, Key=file.key, Range=f"bytes={start}-", IfMatch=f'"{file.etag}"'
            )
        try:
            yield from answer["Body"].iter_chunks(_CHUNK)
        except (BotoCoreError, OSError) as error:
            raise BrokenOffError(str(error)) from None

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """What boto3 raises, in our words."""
        try:
            yield
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            told = {404: "it is not there", 403: "it is not public", 412: "it changed meanwhile: fetch again"}
            reason = told.get(status, f"the server answered {status}, {_ATTEMPTS} times: try again later")
            raise FetchError(f"s3://{self._name}: {what}: {reason}") from None
        except BotoCoreError as error:
            raise FetchError(f"s3://{self._name} cannot be reached ({error}): is there a network?") from None
