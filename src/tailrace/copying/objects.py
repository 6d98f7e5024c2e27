"""Copies objects from one storage to another, several at a time, and compares what arrived."""

import hashlib
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice

from sqlalchemy import Engine

from tailrace.copying import ledger
from tailrace.copying.errors import CopyDiffers, CopyError
from tailrace.copying.ledger import Object
from tailrace.copying.progress import Progress
from tailrace.storage import ObjectMissing, Storage

# Small objects wait for the network, large ones for both cores.
AT_ONCE = 8


def copy_objects(source: Storage, target: Storage, database: Engine, progress: Progress) -> None:
    """Copy what the ledger in `database` does not know of yet, and compare each object after it arrived.

    Raises StorageError, and CopyDiffers for an object that is not the same on both sides.
    """
    with database.connect() as connection:
        known = ledger.known_objects(connection)
    keys = sorted(source.keys())
    # An earlier run of this copy brought objects that the source has deleted since.
    for key in set(target.keys()) - set(keys):
        target.delete(key)
    progress.begin("objects", len(keys))
    with ThreadPoolExecutor(AT_ONCE, "tailrace-copy") as pool:
        arriving = (pool.submit(_bring, source, target, key, known.get(key)) for key in keys)
        done = 0
        for batch in _as_completed(arriving):
            arrived = [each.result() for each in batch]
            with database.begin() as connection:
                ledger.note_objects(connection, (each for each in arrived if each.key not in known))
            done += len(arrived)
            progress.advance(done)
    with database.connect() as connection:
        copied = ledger.known_objects(connection)
    progress.verified("objects", len(keys), _digest(copied[key] for key in keys))


def _as_completed(futures: Iterable[Future[Object]]) -> Iterator[set[Future[Object]]]:
    """Yield futures as they complete; only so many are made that there is always one to begin."""
    futures = iter(futures)
    pending = set(islice(futures, 2 * AT_ONCE))
    try:
        while pending:
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            yield done
            pending |= set(islice(futures, len(done)))
    finally:
        for future in pending:
            future.cancel()


def _bring(source: Storage, target: Storage, key: str, known: Object | None) -> Object:
    if known is None:
        sent = _send(source, target, key)
        arrived = _look(target, key)
    else:
        # It was compared when it arrived; that it is still there, and as long as then, is quick to see.
        sent = known
        arrived = Object(key, _size(target, key), known.sha256)
    if arrived != sent:
        raise CopyDiffers(
            f"The object {key} arrived differently: {sent.bytes:,} bytes with SHA-256 {sent.sha256[:16]}… became "
            f"{arrived.bytes:,} with {arrived.sha256[:16]}…."
        )
    return arrived


def _send(source: Storage, target: Storage, key: str) -> Object:
    with target.write(key) as writer:
        for piece in source.read(key):
            writer.write(piece)
    return Object(key, writer.size, writer.sha256)


def _look(storage: Storage, key: str) -> Object:
    digest = hashlib.sha256()
    size = 0
    for piece in storage.read(key):
        digest.update(piece)
        size += len(piece)
    return Object(key, size, digest.hexdigest())


def _size(storage: Storage, key: str) -> int:
    try:
        return storage.size(key)
    except ObjectMissing:
        raise CopyError(f"The object {key} was copied, and is not in the target any more.") from None


def _digest(objects: Iterable[Object]) -> str:
    lines = (f"{each.key} {each.bytes} {each.sha256}\n" for each in objects)
    return hashlib.sha256("".join(lines).encode()).hexdigest()
