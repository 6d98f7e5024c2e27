"""A storage in a bucket of S3, or of anything that speaks its protocol. Needs the extra `tailrace[s3]`.

A large object is sent in parts while it is made, and S3 shows it only when it is complete. An upload that raises is
aborted. One whose process was killed leaves its parts in the bucket, unseen but paid for, and they can be listed by no
call that a storage library offers here: give the bucket a lifecycle rule that aborts incomplete uploads after a day.
"""

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from tailrace.storage.contract import ObjectMissing, StorageError, StorageRefused, StorageUnavailable, check_key
from tailrace.storage.signing import sign_again

if TYPE_CHECKING:
    from obstore import WritableFile

# S3 allows 10,000 parts: 8 MiB each make 80 GB the largest object.
PART_SIZE = 8 * 1024 * 1024
READ_SIZE = 4 * 1024 * 1024
LINK_LASTS = timedelta(minutes=5)
_PROBE = "tailrace-probe"
_NO_ENTRY = "refused the access key: correct the key or its rights."
_NO_BUCKET = "does not exist: make it."
_NO_KEY = "needs a key, and this machine has no role: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
_SERVER = "check that its server runs, and its endpoint."
# What the library says in some calls only by the text of a general error: the answer's status, and whether one came.
_STATUS = re.compile(r"status code: (\d{3})\b")
_REFUSALS = {"401": _NO_ENTRY, "403": _NO_ENTRY, "404": _NO_BUCKET}
_SILENT = "error sending request"
# Where a machine at Amazon asks for its role.
_ROLES = re.compile("/latest/(?:api/token|meta-data)")


class S3Storage:
    """Objects below a prefix of one bucket."""

    def __init__(
        self,
        url: str,
        *,
        access_key_id: str | None = None,
        secret_access_key: str | None = None,
        redirect: bool = False,
    ) -> None:
        """Use the bucket at `url`: `s3://BUCKET[/PREFIX][?endpoint=http://HOST:PORT&region=NAME]`.

        What is not given is taken from the usual AWS variables: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
        AWS_ENDPOINT_URL, AWS_REGION; without keys, from the machine's role. `redirect` gives out links to objects, and
        needs the secret key. Nothing is contacted yet. Raises ValueError for what cannot be used.
        """
        parts = urlsplit(url)
        if parts.scheme != "s3" or not parts.hostname or parts.username:
            raise ValueError("Write an S3 storage as s3://bucket/prefix?endpoint=https://host&region=eu-1.")
        options = {name: values[-1] for name, values in parse_qs(parts.query, strict_parsing=bool(parts.query)).items()}
        if unknown := options.keys() - {"endpoint", "region"}:
            raise ValueError(f"An S3 storage takes endpoint and region, not {', '.join(sorted(unknown))}.")
        self.bucket = parts.netloc
        self._prefix = check_key(parts.path.strip("/")) + "/" if parts.path.strip("/") else ""
        self._signing_key = (secret_access_key or _variable("AWS_SECRET_ACCESS_KEY")) if redirect else None
        if redirect and not (self._signing_key and (access_key_id or _variable("AWS_ACCESS_KEY_ID"))):
            raise ValueError("Links to its objects are signed: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.")
        self._store = _open(self.bucket, options, access_key_id, secret_access_key)

    @contextmanager
    def write(self, key: str) -> Iterator["_PartsWriter"]:
        """See `Storage.write`."""
        path = self._path(key)
        with self._explained():
            upload = obstore.open_writer(self._store, path, buffer_size=PART_SIZE, max_concurrency=2)
        writer = _PartsWriter(self, upload)
        try:
            yield writer
        except BaseException as error:
            # The library aborts the upload when it is left with an error.
            upload.__exit__(type(error), error, error.__traceback__)
            raise
        with self._explained():
            upload.close()

    def read(self, key: str, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """See `Storage.read`. Every range asked for must come from the same version of the object."""
        path = self._path(key)
        with self._explained(key):
            head = obstore.head(self._store, path)
        end = head["size"] if stop is None else stop
        if end > head["size"]:
            raise StorageUnavailable(f"{key!r} is {end - head['size']} bytes too short: restore it from a backup.")
        for offset in range(start, end, READ_SIZE):
            with self._explained(key):
                span = (offset, min(offset + READ_SIZE, end))
                result = obstore.get(self._store, path, options={"range": span, "if_match": head["e_tag"]})
                chunk = bytes(result.bytes())
            yield chunk

    def size(self, key: str) -> int:
        """See `Storage.size`."""
        path = self._path(key)
        with self._explained(key):
            return int(obstore.head(self._store, path)["size"])

    def modified(self, key: str) -> datetime:
        """See `Storage.modified`."""
        path = self._path(key)
        with self._explained(key):
            return obstore.head(self._store, path)["last_modified"].astimezone(UTC)

    def exists(self, key: str) -> bool:
        """See `Storage.exists`."""
        try:
            return self.size(key) >= 0
        except ObjectMissing:
            return False

    def delete(self, key: str) -> None:
        """See `Storage.delete`."""
        path = self._path(key)
        try:
            with self._explained(key):
                obstore.delete(self._store, path)
        except ObjectMissing:
            return

    def keys(self, prefix: str = "") -> Iterator[str]:
        """See `Storage.keys`."""
        prefix = prefix.rstrip("/")
        path = self._path(prefix) if prefix else self._prefix
        with self._explained():
            for batch in obstore.list(self._store, path or None):
                for found in batch:
                    yield found["path"].removeprefix(self._prefix)

    def link(self, key: str, headers: Mapping[str, str]) -> str | None:
        """See `Storage.link`."""
        path = self._path(key)
        if self._signing_key is None:
            return None
        with self._explained(key):
            link = obstore.sign(self._store, "GET", path, LINK_LASTS)
        return sign_again(link, self._signing_key, headers)

    def sweep(self) -> int:
        """Return 0: incomplete uploads are the bucket's lifecycle rule's to remove."""
        return 0

    def check(self) -> None:
        """See `Storage.check`."""
        with self._explained():
            obstore.put(self._store, self._prefix + _PROBE, b"probe")
            obstore.delete(self._store, self._prefix + _PROBE)

    def _path(self, key: str) -> str:
        return self._prefix + check_key(key)

    @contextmanager
    def _explained(self, key: str | None = None) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            if key is None:
                raise StorageRefused(f"The bucket {self.bucket!r} {_NO_BUCKET}") from error
            raise ObjectMissing(f"Nothing is stored under {key!r}.") from error
        except (PermissionDeniedError, UnauthenticatedError) as error:
            raise StorageRefused(f"The bucket {self.bucket!r} {_NO_ENTRY}") from error
        except (BaseError, OSError) as error:
            raise self._explanation(error) from error

    def _explanation(self, error: Exception) -> StorageError:
        # The library's text goes on with a dump of its own structures after the first line.
        reason = str(error).partition("\n")[0][:300]
        if _ROLES.search(reason):
            return StorageRefused(f"The bucket {self.bucket!r} {_NO_KEY}")
        status = _STATUS.search(reason)
        if status and status[1] in _REFUSALS:
            return StorageRefused(f"The bucket {self.bucket!r} {_REFUSALS[status[1]]}")
        if _SILENT in reason:
            return StorageUnavailable(f"The bucket {self.bucket!r} is out of reach: {_SERVER}")
        return StorageUnavailable(f"The bucket {self.bucket!r} cannot be used: {reason}")


class _PartsWriter:
    def __init__(self, storage: S3Storage, upload: "WritableFile") -> None:
        self._storage = storage
        self._upload = upload
        self._hash = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def write(self, data: bytes) -> None:
        with self._storage._explained():
            self._upload.write(data)
        self._hash.update(data)
        self.size += len(data)


def _open(bucket: str, options: dict[str, str], access_key_id: str | None, secret_access_key: str | None) -> S3Store:
    endpoint = options.get("endpoint") or _variable("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
    if endpoint and not endpoint.startswith(("http://", "https://")):
        raise ValueError(f"The endpoint of an S3 storage is an address such as https://s3.example.org, not {endpoint}.")
    config = {
        "region": options.get("region") or _variable("AWS_REGION", "AWS_DEFAULT_REGION") or "us-east-1",
        "endpoint": endpoint,
        "access_key_id": access_key_id,
        "secret_access_key": secret_access_key,
        # Servers other than Amazon's seldom answer under one host name for each bucket.
        "virtual_hosted_style_request": False if endpoint else None,
    }
    try:
        return S3Store(
            bucket,
            config={name: value for name, value in config.items() if value is not None},  # type: ignore[arg-type]
            client_options={"allow_http": (endpoint or "").startswith("http://"), "timeout": timedelta(seconds=60)},
            retry_config={"max_retries": 4, "retry_timeout": timedelta(seconds=30)},
        )
    except BaseError as error:
        raise ValueError(f"{str(error).partition(chr(10))[0]}: check the variables AWS_….") from error


def _variable(*names: str) -> str | None:
    return next((os.environ[name] for name in names if os.environ.get(name)), None)
