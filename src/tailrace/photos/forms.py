"""Takes the files of a form in while they come, each into storage under its own name, hidden until it is whole."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError
from starlette.concurrency import run_in_threadpool

from tailrace.accounts.principal import Principal
from tailrace.database import new_id
from tailrace.errors import Invalid, TailraceError
from tailrace.http.faults import describe
from tailrace.http.fields import Id
from tailrace.http.problems import Refusal
from tailrace.photos.access import check_upload
from tailrace.photos.inspection import Inspector, Picture
from tailrace.photos.keys import original_key
from tailrace.photos.receiving import NewPhoto, finish_many
from tailrace.photos.schemas import Caption, PhotoStarted
from tailrace.photos.workshop import Workshop
from tailrace.storage import StorageError, Writer
from tailrace.streams import ClientGone, Incoming, Part, Received, UploadRefused, in_upload_thread, multipart, receive

FILES = 100
#: What a form has besides its files, at most: each part's headers and boundary, and fields.
FORM_BYTES = 64 * 1024
_PARTS = FILES + 20
_GATHERING_S = 0.2
_CAPTION: TypeAdapter[str] = TypeAdapter(Caption)
_TASK: TypeAdapter[int] = TypeAdapter(Id)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Refused:
    """A file that was not taken; without a name, it is the rest of the form."""

    name: str | None
    error: Refusal


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of each file of a form, in order."""

    results: Sequence[PhotoStarted | Refused]

    @property
    def refusals(self) -> list[Refused]:
        """What was not taken."""
        return [each for each in self.results if isinstance(each, Refused)]

    @property
    def is_final(self) -> bool:
        """Whether the same form would be answered the same again: nothing was refused for a passing reason."""
        return all(
            each.name is not None and isinstance(each.error, TailraceError) and each.error.status < 500
            for each in self.refusals
        )


async def receive_many(
    workshop: Workshop, principal: Principal, task_id: int | None, incoming: Incoming, content_type: str | None
) -> Outcome:
    """Make each file of a form a photo of the task, or (None) of the caller's own, as soon as it has come.

    One that is refused stops no other.

    Of a file that is refused no more is read than a photo may have: then the rest of the form is given up. So is it
    when the body breaks off in a way that leaves somebody to answer. Raises ClientGone when nobody is left.
    """
    form = _ManyFiles(workshop, principal, task_id)
    fault: list[Refused] = []
    try:
        async for part in multipart(incoming, content_type, max_parts=_PARTS):
            await form.take(part)
    except ClientGone:
        raise
    except (TailraceError, UploadRefused) as error:
        fault.append(Refused(None, error))
    finally:
        await form.settle()
    if not form.results and not fault:
        raise Invalid("The form has no file: send each picture as a file, in a field of any name.")
    if form.caption_is_last and not fault:
        fault.append(Refused(None, Invalid("A caption is that of the files after it: put the caption before them.")))
    return Outcome([*form.results, *fault])


async def receive_one(
    workshop: Workshop, principal: Principal, incoming: Incoming, content_type: str | None
) -> NewPhoto:
    """Take the one file of a form into storage, and return it with the form's fields `task` and `caption`.

    Raises what refuses it, as soon as it is known; nothing is left of it then.
    """
    form = _OneFile(workshop, principal)
    try:
        async for part in multipart(incoming, content_type, max_parts=_PARTS):
            await form.take(part)
        if form.photo is None:
            raise Invalid("The form has no file: send the picture as a file in the field `file`.")
    except BaseException:
        await form.discard()
        raise
    return replace(form.photo, task_id=form.task_id, caption=form.caption)


@dataclass(frozen=True, slots=True)
class _Draft:
    """A picture that has come and was found good, but is not durable yet."""

    id: str
    name: str
    picture: Picture
    received: Received[Writer]

    async def keep(self) -> NewPhoto:
        """Make it durable."""
        file = await self.received.keep()
        return NewPhoto(self.id, None, self.name, self.picture, file.size, file.sha256)


async def _receive(workshop: Workshop, part: Part) -> _Draft:
    inspector = Inspector(workshop.limits)
    photo_id = new_id()
    target = workshop.storage.write(original_key(photo_id))
    received = await receive(part.pieces(), target, inspectors=[inspector])
    return _Draft(photo_id, part.filename or "", inspector.finish(), received)


class _ManyFiles:
    """A form of many files; a field `caption` is that of the files after it.

    While one file is made durable, the next is being received, and those that came within 0.2 s become photos together:
    for each its own transaction would be a tenth of the work of receiving them.
    """

    def __init__(self, workshop: Workshop, principal: Principal, task_id: int | None) -> None:
        self.caption_is_last = False
        self._workshop = workshop
        self._principal = principal
        self._task_id = task_id
        self._caption = ""
        self._outcomes: list[PhotoStarted | Refused | None] = []
        self._durable: list[tuple[int, NewPhoto]] = []
        self._keeping: asyncio.Task[None] | None = None
        self._finishing: asyncio.Task[None] | None = None
        self._ended = asyncio.Event()

    @property
    def results(self) -> list[PhotoStarted | Refused]:
        """What became of each file, in order, once it has been settled."""
        return [outcome for outcome in self._outcomes if outcome is not None]

    async def take(self, part: Part) -> None:
        if part.filename is None:
            self._caption, self.caption_is_last = await _read_caption(part), True
            return
        self.caption_is_last = False
        if len(self._outcomes) == FILES:
            raise Invalid(f"The form has more than {FILES} files; send the others in another.")
        place = len(self._outcomes)
        self._outcomes.append(None)
        try:
            draft = await _receive(self._workshop, part)
        except (TailraceError, StorageError) as error:
            self._outcomes[place] = Refused(part.filename, error)
            await part.discard(self._workshop.settings.max_bytes)
        else:
            await _done(self._keeping)
            self._keeping = asyncio.create_task(self._keep(place, draft, self._caption))

    async def settle(self) -> None:
        """Wait until every file that has come is a photo, or refused."""
        self._ended.set()
        try:
            await _done(self._keeping)
        finally:
            await _done(self._finishing)

    async def _keep(self, place: int, draft: _Draft, caption: str) -> None:
        try:
            new = replace(await draft.keep(), task_id=self._task_id, caption=caption)
        except StorageError as error:
            self._outcomes[place] = Refused(draft.name, error)
            return
        self._durable.append((place, new))
        if self._finishing is None or self._finishing.done():
            await _done(self._finishing)  # which raises what became of it
            self._finishing = asyncio.create_task(self._finish_durable())

    async def _finish_durable(self) -> None:
        while self._durable:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), _GATHERING_S)
            durable, self._durable = self._durable, []
            news = [new for _, new in durable]
            outcomes = await in_upload_thread(
                finish_many, self._workshop.database, self._workshop.storage, self._principal, self._task_id, news
            )
            for (place, new), outcome in zip(durable, outcomes, strict=True):
                self._outcomes[place] = outcome if isinstance(outcome, PhotoStarted) else Refused(new.name, outcome)


async def _done(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        await task


class _OneFile:
    """A form of one file; whose task it is for may come before it or after."""

    def __init__(self, workshop: Workshop, principal: Principal) -> None:
        self.photo: NewPhoto | None = None
        self.task_id: int | None = None
        self.caption = ""
        self._workshop = workshop
        self._principal = principal

    async def take(self, part: Part) -> None:
        if part.filename is not None:
            if self.photo is not None:
                raise Invalid("This form takes one file; send several to `POST /tasks/{id}/photos`.")
            self.photo = await (await _receive(self._workshop, part)).keep()
        elif part.name == "task":
            self.task_id = _validate(_TASK, "task", await part.text())
            await run_in_threadpool(self._check_task)
        else:
            self.caption = await _read_caption(part)

    async def discard(self) -> None:
        """Remove the file that came before what was wrong; what cannot be removed now is left to the upkeep."""
        if self.photo is not None:
            with suppress(StorageError):
                await in_upload_thread(self._workshop.storage.delete, original_key(self.photo.id))

    def _check_task(self) -> None:
        with self._workshop.database.read() as session:
            check_upload(session, self._principal, self.task_id)


async def _read_caption(part: Part) -> str:
    if part.name != "caption":
        raise Invalid(f"The form has no field {part.name[:50]!r}; a picture must be sent as a file, with a file name.")
    return _validate(_CAPTION, "caption", await part.text())


def _validate(kind: TypeAdapter[T], field: str, text: str) -> T:
    try:
        return kind.validate_python(text)
    except ValidationError as error:
        raise Invalid(f"{field}: {describe(error.errors()[0])}.") from error
