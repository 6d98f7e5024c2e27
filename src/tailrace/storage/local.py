"""A storage in a folder of this machine.

A new object is written into `.incoming` in the same folder, and so on the same filesystem; it is flushed to the disk
and then renamed. A reader sees the whole object or none, also after a power cut.
"""

import errno
import hashlib
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from stat import S_ISREG

from tailrace.storage.contract import (
    ObjectMissing,
    StorageError,
    StorageFull,
    StorageUnavailable,
    check_key,
)

READ_SIZE = 256 * 1024
LEFTOVER_AGE_S = 1800
_RACES_LOST = 100
_INCOMING = ".incoming"
_FULL = {errno.ENOSPC, errno.EDQUOT}
_DENIED = {errno.EROFS, errno.EACCES, errno.EPERM}
_GONE = {errno.ENOENT, errno.ENOTDIR, errno.ESTALE, errno.EEXIST}
_NO_FILE = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR}


class LocalStorage:
    """Objects as files below one folder, readable by the service's own user only."""

    def __init__(self, folder: Path | str) -> None:
        """Use `folder`, made if it is missing. Raises StorageError when it cannot be made."""
        self.folder = Path(folder).absolute()
        with self._explained():
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    @contextmanager
    def write(self, key: str) -> Iterator["_FileWriter"]:
        """See `Storage.write`."""
        target = self._path(key)
        with self._explained():
            descriptor, temporary = self._open_incoming()
        try:
            try:
                yield _FileWriter(self, descriptor)
                with self._explained():
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)
            with self._explained():
                self._publish(temporary, target)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise

    def read(self, key: str, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """See `Storage.read`."""
        path = self._path(key)
        with self._explained(key), path.open("rb", buffering=0) as file:
            wanted = (os.fstat(file.fileno()).st_size if stop is None else stop) - start
            file.seek(start)
            while wanted > 0:
                chunk = file.read(min(READ_SIZE, wanted))
                if not chunk:
                    raise StorageUnavailable(f"{path} is {wanted} bytes too short: restore it from a backup.")
                wanted -= len(chunk)
                yield chunk

    def size(self, key: str) -> int:
        """See `Storage.size`."""
        return self._status(key).st_size

    def modified(self, key: str) -> datetime:
        """See `Storage.modified`."""
        return datetime.fromtimestamp(self._status(key).st_mtime, UTC)

    def exists(self, key: str) -> bool:
        """See `Storage.exists`."""
        try:
            return self.size(key) >= 0
        except ObjectMissing:
            return False

    def delete(self, key: str) -> None:
        """See `Storage.delete`. Folders that become empty go with it."""
        path = self._path(key)
        try:
            with self._explained(key):
                path.unlink()
        except ObjectMissing:
            return
        with suppress(OSError):
            for parent in path.relative_to(self.folder).parents:
                if parent.name:
                    (self.folder / parent).rmdir()

    def keys(self, prefix: str = "") -> Iterator[str]:
        """See `Storage.keys`."""
        prefix = prefix.rstrip("/")
        top = self._path(prefix) if prefix else self.folder
        with self._explained():
            os.stat(self.folder)
            for folder, folders, files in os.walk(top, onerror=_refuse):
                folders[:] = [name for name in folders if not name.startswith(".")]
                for name in files:
                    yield (Path(folder) / name).relative_to(self.folder).as_posix()

    def link(self, key: str, headers: Mapping[str, str]) -> str | None:
        """Return None: a folder is no server."""
        check_key(key)
        return None

    def sweep(self) -> int:
        """See `Storage.sweep`. The time counts from the last byte written: a slow writer loses nothing, a silent one
        its file.
        """
        oldest = time.time() - LEFTOVER_AGE_S
        removed = 0
        with self._explained():
            os.stat(self.folder)
            with suppress(FileNotFoundError), os.scandir(self.folder / _INCOMING) as entries:
                for entry in entries:
                    removed += _remove_older(entry, oldest)
        return removed

    def check(self) -> None:
        """See `Storage.check`."""
        with self._explained():
            descriptor, probe = self._open_incoming()
            try:
                os.write(descriptor, b"probe")
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
                probe.unlink()

    def _status(self, key: str) -> os.stat_result:
        path = self._path(key)
        with self._explained(key):
            status = path.stat()
            if not S_ISREG(status.st_mode):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
            return status

    def _path(self, key: str) -> Path:
        return self.folder / check_key(key)

    def _open_incoming(self) -> tuple[int, Path]:
        incoming = self.folder / _INCOMING
        # The folder above is not made again: one that vanished is a lost mount, which writing there would hide.
        incoming.mkdir(mode=0o700, exist_ok=True)
        path = incoming / secrets.token_hex(16)
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), path

    def _publish(self, temporary: Path, target: Path) -> None:
        for _ in range(_RACES_LOST):
            # A `delete` may remove a folder that it emptied between any two of these steps.
            with suppress(FileNotFoundError, FileExistsError):
                self._move(temporary, target)
                break
        else:
            self._move(temporary, target)
        try:
            _sync_folder(target.parent)
        except FileNotFoundError:
            # What was just published has been deleted, and its folder with it, unless all is gone.
            os.stat(self.folder)

    def _move(self, temporary: Path, target: Path) -> None:
        self._make_folders(target.parent)
        os.replace(temporary, target)

    def _make_folders(self, folder: Path) -> None:
        if folder.is_dir():
            return
        if folder == self.folder:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(folder))
        self._make_folders(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        _sync_folder(folder.parent)

    @contextmanager
    def _explained(self, key: str | None = None) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._explain(error, key) from error

    def _explain(self, error: OSError, key: str | None) -> StorageError:
        if error.errno in _FULL:
            return StorageFull(f"The disk under {self.folder} is full: make room there, and the work goes on.")
        if error.errno == errno.EFBIG:
            return StorageFull(f"A file in {self.folder} reached the size limit of its filesystem or of this process.")
        if error.errno in _DENIED:
            return StorageUnavailable(
                f"The storage folder {self.folder} is not writable for this service: correct its permissions or mount."
            )
        if error.errno in _GONE and not self.folder.is_dir():
            return StorageUnavailable(f"The storage folder {self.folder} is gone or no folder: mount or restore it.")
        if error.errno in _NO_FILE and key is not None:
            return ObjectMissing(f"Nothing is stored under {key!r}.")
        return StorageUnavailable(f"The storage folder {self.folder} cannot be used: {error.strerror or error}.")


class _FileWriter:
    def __init__(self, storage: LocalStorage, descriptor: int) -> None:
        self._storage = storage
        self._descriptor = descriptor
        self._hash = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def write(self, data: bytes) -> None:
        rest = memoryview(data)
        with self._storage._explained():
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        self._hash.update(data)
        self.size += len(data)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refuse(error: OSError) -> None:
    # A folder that disappears meanwhile was emptied by a `delete`; any other trouble must not pass for "no keys".
    if not isinstance(error, FileNotFoundError):
        raise error


def _remove_older(entry: os.DirEntry[str], oldest: float) -> int:
    # A file that disappears meanwhile was published or swept by another process.
    with suppress(FileNotFoundError):
        if entry.stat(follow_symlinks=False).st_mtime < oldest:
            os.unlink(entry.path)
            return 1
    return 0
