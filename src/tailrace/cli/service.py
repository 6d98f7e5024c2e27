"""A service in one command: the API in this process, the local engine in a child that cannot outlive it."""

import contextlib
import errno
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import FrameType

import typer
import uvicorn
from fastapi import FastAPI

from tailrace import __version__
from tailrace.accounts import service as accounts
from tailrace.app import create_app
from tailrace.bootstrap import Tailrace, build, prepare_folder
from tailrace.cli.common import CommandError, alone_in, check_storage, warn_of_unshared
from tailrace.cli.engine import EngineKeeper
from tailrace.cli.protocol import Http
from tailrace.cli.worker import APP
from tailrace.errors import Conflict
from tailrace.logging_setup import configure_logging, log_file
from tailrace.migrations import migrate
from tailrace.settings import Settings
from tailrace.streams import adopt_order

_DRAIN_S = 2
# Of several APIs that start within that time one prints the set-up link.
_START_TOGETHER = timedelta(seconds=30)
_OTHERWISE = "stop that one, or choose another folder with --data"
_log = logging.getLogger(__name__)


def run_service(settings: Settings) -> None:
    """Run the service until SIGTERM or Ctrl-C, and return once streams and jobs have been put down, within 3 s.

    Raises CommandError if the port or the data folder is in use.
    """
    prepare_folder(settings.data)
    # With workers elsewhere, several APIs may share a machine and its folder.
    alone = alone_in(settings.data, otherwise=_OTHERWISE) if settings.engine == "local" else contextlib.nullcontext()
    with alone, _listening(settings.host, settings.port) as listener:
        port = listener.getsockname()[1]
        settings = settings.model_copy(update={"port": port, "data": settings.data.absolute()})
        configure_logging(
            level=settings.log_level, style=settings.log_format, file=log_file(settings.data), rotates=True
        )
        tailrace = build(settings)
        warn_of_unshared(tailrace)
        check_storage(tailrace.storage)
        try:
            migrate(tailrace.database)
            with tailrace.database.write() as session:
                adopt_order(session)
            _greet(tailrace)
            _serve(tailrace, listener)
        finally:
            tailrace.database.dispose()


def _serve(tailrace: Tailrace, listener: socket.socket) -> None:
    settings = tailrace.settings
    _hand_down(settings)
    app = create_app(tailrace)
    engines = _engines_beside(settings)

    def stop() -> None:
        app.state.drain.start()
        for engine in engines:
            engine.stop()

    for engine in engines:
        engine.start()
    _log.info("Tailrace %s listens on %s port %d", __version__, *listener.getsockname()[:2])
    try:
        _Server(_configure(app, settings), stop).run(sockets=[listener])
    finally:
        for engine in engines:
            engine.stop()
            engine.join()
        _log.info("Tailrace has stopped")


def _configure(app: FastAPI, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=Http,  # type: ignore[arg-type]  # a protocol like any other, but that it gives buffers
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        forwarded_allow_ips=settings.trusted_proxies,
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=_DRAIN_S,
    )


def _engines_beside(settings: Settings) -> list[EngineKeeper]:
    """Return the engine that runs beside the API; none with Celery, whose workers are started by themselves."""
    if settings.engine == "local":
        return [EngineKeeper(APP, workers=settings.workers, keep_days=settings.job_days)]
    return []


class _Server(uvicorn.Server):
    """The server, with shutdown in our hands: streams and engine are told at the signal, and it is no failure."""

    def __init__(self, config: uvicorn.Config, on_signal: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_signal = on_signal

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
            return
        self.should_exit = True
        self._on_signal()


def _greet(tailrace: Tailrace) -> None:
    typer.echo(f"Tailrace {__version__} on {tailrace.base_url}  (data in {tailrace.settings.data}; Ctrl-C stops it)")
    with tailrace.database.read() as session:
        if not accounts.setup_needed(session):
            return
    alone = tailrace.settings.engine == "local"
    try:
        with tailrace.database.write() as session:
            token = accounts.issue_setup_token(session, spare=timedelta(0) if alone else _START_TOGETHER)
    except Conflict as other:
        typer.echo(other.detail)
    else:
        typer.echo(f"Create the administrator here, once: {tailrace.base_url}/setup?token={token}")


def _hand_down(settings: Settings) -> None:
    # The engine and its workers read their settings from the environment.
    os.environ["TAILRACE_DATA"] = str(settings.data)
    os.environ["TAILRACE_HOST"] = settings.host
    os.environ["TAILRACE_PORT"] = str(settings.port)
    os.environ["TAILRACE_BASE_URL"] = settings.public_url


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        in_use = error.errno == errno.EADDRINUSE
        cure = "choose another with --port" if in_use else "check --host and --port"
        reason = os.strerror(error.errno) if error.errno else error
        raise CommandError(f"Cannot listen on {host}:{port}: {reason}; {cure}.") from None
    with listener:
        yield listener
