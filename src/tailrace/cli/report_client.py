"""Talks to a running service about one report, and gives up only when the service stays away."""

import base64
import hashlib
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2

from tailrace.cli.common import CommandError
from tailrace.database import new_id

PATIENCE_S = 60.0
_POLL_S = 1.0
_UNFINISHED = {"waiting", "running", "retrying"}
_HEARTBEATS_MISSED_S = 45.0
_RETRIABLE = {429, 502, 503, 504}

Tell = Callable[[str], None]
Show = Callable[[str, int, int | None], None]


class ReportClient:
    """One person's connection to the service at `url`; use it in a `with` block."""

    def __init__(self, url: str, token: str, *, tell: Tell, patience_s: float = PATIENCE_S) -> None:
        """Speak to `url` with an API token; a service that goes away is waited for up to `patience_s` seconds.

        `tell` is given a sentence whenever such a wait begins.

        Raises CommandError when there is no token, or the address is none.
        """
        if not token:
            raise CommandError("Give an API token as TAILRACE_TOKEN or --token; `tailrace token create` makes one.")
        if not url.startswith(("http://", "https://")):
            raise CommandError(f"{url!r} is no address of a service; write it as https://tasks.example.org.")
        self._tell = tell
        self._patience_s = patience_s
        self._reached = False
        self._client = httpx2.Client(
            base_url=url.rstrip("/") + "/", headers={"Authorization": f"Bearer {token}"}, timeout=30
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def ask(self, wanted: dict[str, Any]) -> str:
        """Ask for a report, and return its id; asked again after a lost answer, it is the same report.

        Raises CommandError with the service's sentence when it refuses.
        """
        answer = self._request("POST", "reports", json=wanted, headers={"Idempotency-Key": new_id()})
        return str(answer.json()["id"])

    def follow(self, report_id: str, show: Show) -> dict[str, Any]:
        """Wait until a report is ready, and return it; `show` is told state, rows done and rows in all.

        News comes over the job's event stream, which is taken up again where it broke off; where there is none, the
        report is looked at every second. Raises CommandError if the report cannot be made any more.
        """
        last_id: str | None = None
        while True:
            report = self._report(report_id)
            show(report["state"], report["rows_done"], report["rows_total"])
            if report["state"] not in _UNFINISHED:
                break
            seen = self._stream(report, last_id, show)
            if seen == last_id:
                time.sleep(_POLL_S)
            last_id = seen
        if report["state"] != "ready":
            raise CommandError(f"There is no report: it is {report['state']}. {report['error'] or ''}".strip())
        return report

    def download(self, report: dict[str, Any], target: Path, show: Callable[[int], None]) -> None:
        """Write a report's file to `target`, which appears whole and verified; `show` is told the bytes so far.

        A transfer that breaks goes on where it stopped, also from the `.part` file of an earlier try. Raises
        CommandError if the digest is wrong even from a fresh start, or the disk refuses.
        """
        part = target.with_name(target.name + ".part")
        try:
            for fresh in (False, True):
                if fresh:
                    part.unlink(missing_ok=True)
                announced = self._fetch(report, part, show)
                if _digest(part) == report["sha256"] == announced:
                    os.replace(part, target)
                    return
        except OSError as error:
            raise CommandError(f"{error.filename or part} cannot be written: {error.strerror}.") from error
        raise CommandError(f"What arrived is not the report: its SHA-256 is not {report['sha256']}. Try again later.")

    def _report(self, report_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self._request("GET", f"reports/{report_id}").json()
        return found

    def _stream(self, report: dict[str, Any], last_id: str | None, show: Show) -> str | None:
        """Show what the job tells until its stream ends or breaks; return the id of the last event."""
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last_id} if last_id else {})
        path = report["events"].lstrip("/")
        with (
            suppress(httpx2.TransportError),
            self._client.stream("GET", path, headers=headers, timeout=_HEARTBEATS_MISSED_S) as response,
        ):
            # Anything but a stream of events raises a TransportError too.
            for event in httpx2.EventSource(response):
                last_id = event.id or last_id
                if event.event == "progress":
                    data: Any = event.json()
                    show("running", data["done"], data["total"])
        return last_id

    def _fetch(self, report: dict[str, Any], part: Path, show: Callable[[int], None]) -> str:
        """Append to `part` until it is as long as the file; return the SHA-256 that the service gave."""
        announced = ""
        told = False
        gives_up_at = time.monotonic() + self._patience_s
        while True:
            had = part.stat().st_size if part.exists() else 0
            with suppress(httpx2.TransportError):
                announced = self._fetch_rest(report, part, had, show)
                if announced:
                    return announced
            if part.exists() and part.stat().st_size > had:
                told = False
                gives_up_at = time.monotonic() + self._patience_s
            elif time.monotonic() > gives_up_at:
                raise CommandError(
                    f"The service at {self._client.base_url} stays away. Run the same command again later."
                )
            elif not told:
                told = True
                self._tell(f"The service at {self._client.base_url} does not answer; waiting for it.")
            time.sleep(_POLL_S)

    def _fetch_rest(self, report: dict[str, Any], part: Path, had: int, show: Callable[[int], None]) -> str:
        headers = {"Accept-Encoding": "identity"}
        if 0 < had < report["bytes"]:
            headers |= {"Range": f"bytes={had}-"}
        with self._client.stream("GET", report["url"].lstrip("/"), headers=headers, follow_redirects=True) as response:
            if response.status_code in _RETRIABLE:
                return ""
            if response.status_code not in {200, 206}:
                response.read()
                raise CommandError(_sentence(response))
            resumed = response.status_code == 206
            done = had if resumed else 0
            with part.open("ab" if resumed else "wb") as file:
                for piece in response.iter_raw():
                    file.write(piece)
                    done += len(piece)
                    show(done)
                file.flush()
                os.fsync(file.fileno())
            # A bucket that the service sent us on to knows of no digest.
            return str(report["sha256"]) if response.history else _announced_digest(response)

    def _request(self, method: str, path: str, **options: Any) -> httpx2.Response:
        gives_up_at = time.monotonic() + self._patience_s
        told = False
        while True:
            try:
                return self._attempt(method, path, **options)
            except _Away as away:
                if time.monotonic() > gives_up_at:
                    raise CommandError(str(away)) from away
                if not told:
                    self._tell(f"{away} Waiting for it.")
                    told = True
            time.sleep(_POLL_S)

    def _attempt(self, method: str, path: str, **options: Any) -> httpx2.Response:
        try:
            response = self._client.request(method, path, **options)
        except httpx2.TransportError as error:
            trouble = f"{self._client.base_url} cannot be reached: {error}"
            if isinstance(error, httpx2.ConnectError) and not self._reached:
                cure = "start Tailrace, or give its address as TAILRACE_URL or --url"
                raise CommandError(f"{trouble}; {cure}.") from error
            raise _Away(f"{trouble}.") from error
        self._reached = True
        if response.is_success:
            return response
        raise (_Away if response.status_code in _RETRIABLE else CommandError)(_sentence(response))


class _Away(Exception):
    """The service cannot answer at the moment, though it may soon."""


def _sentence(response: httpx2.Response) -> str:
    with suppress(ValueError, KeyError, TypeError):
        return str(response.json()["detail"])
    return f"The service answered {response.status_code} {response.reason_phrase}."


def _announced_digest(response: httpx2.Response) -> str:
    for item in response.headers.get("Repr-Digest", "").split(","):
        name, _, value = item.strip().partition("=")
        if name == "sha-256":
            return base64.b64decode(value.strip(":")).hex()
    raise CommandError("The service did not give the file's digest, so what arrived cannot be verified.")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
