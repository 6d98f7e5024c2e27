"""What runs on what: tests of a port are marked with it, and a run of them writes docs/support.md.

    pytestmark = pytest.mark.conformance("storage", by="storage")

says that a module's tests are the promises of the port, and that the parameter of the fixture `by` names the adapter.
`make support` runs them all and writes the page. A test compares it with the cases that pytest collects now.
"""

import functools
import json
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "support.md"
PORTS = {
    "database": "The database",
    "engine": "The engine, which runs jobs",
    "storage": "The storage of files",
    "mailer": "The mailer",
}
_HEAD = """# What runs on what

Each part that can be exchanged has one set of promises, and one set of tests that holds every adapter to it, against
real servers. This page is written by such a run (`make support`): ✓ held, ✗ broke, – was not run.
"""
_MARK = "tailrace.conformance"

Results = dict[str, dict[str, dict[str, str]]]
Cases = dict[str, dict[str, list[str]]]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that write the page, and the cases that it must tell of."""
    parser.addoption("--write-support", action="store_true", help="write docs/support.md from the conformance tests")
    parser.addoption("--write-cases", metavar="FILE", help="write the conformance tests that were collected, as JSON")


def pytest_configure(config: pytest.Config) -> None:
    """Collect results, in the process that hears of all of them."""
    if config.getoption("--write-support") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Matrix(), "tailrace-support")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Write which adapters are held to each promise of each port, for `cases`."""
    if (file := session.config.getoption("--write-cases")) is None:
        return
    found: Cases = {port: {} for port in PORTS}
    for port, promise, adapter in filter(None, map(_case_of, session.items)):
        adapters = found[port].setdefault(promise, [])
        if adapter not in adapters:
            adapters.append(adapter)
    Path(file).write_text(json.dumps(found))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Note with each conformance test which promise of which port it holds which adapter to."""
    if (case := _case_of(item)) is not None:
        item.user_properties.append((_MARK, case))


def _case_of(item: pytest.Item) -> tuple[str, str, str] | None:
    mark = item.get_closest_marker("conformance")
    callspec = getattr(item, "callspec", None)
    # A test that is not given the fixture is about no adapter.
    if mark is None or callspec is None or mark.kwargs["by"] not in callspec.params:
        return None
    promise = item.originalname if isinstance(item, pytest.Function) else item.name
    return mark.args[0], sentence(promise), str(callspec.params[mark.kwargs["by"]])


class Matrix:
    """The results so far: by port, promise and adapter."""

    def __init__(self) -> None:
        self._results: Results = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take in one result; of a test with several cases the worst counts."""
        for name, value in report.user_properties:
            if name == _MARK and (report.when == "call" or not report.passed):
                port, promise, adapter = _as_texts(value)
                row = self._results.setdefault(port, {}).setdefault(promise, {})
                sign = "✗" if report.failed else "–" if report.skipped else "✓"
                row[adapter] = min(row.get(adapter, "✓"), sign, key="✗–✓".index)

    def pytest_sessionfinish(self) -> None:
        """Write the page."""
        PAGE.write_text("\n".join(_page(self._results)))


def _as_texts(value: object) -> tuple[str, str, str]:
    # Between processes it travels as a list.
    assert isinstance(value, (tuple, list))
    port, promise, adapter = value
    return port, promise, adapter


def sentence(name: str) -> str:
    """Return the name of a test as the promise that it is."""
    return name.removeprefix("test_").replace("_", " ")


def cases() -> Cases:
    """Return the adapters that are held to each promise of each port, in the order of the tests; none is run."""
    tests = Path(__file__).parent
    marked = [str(path) for path in sorted(tests.rglob("test_*.py")) if "mark.conformance(" in path.read_text()]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "cases")
        command = [sys.executable, "-m", "pytest", "--collect-only", "-qq", "-p", "no:cacheprovider"]
        # It is not one of the processes that may share the run from which this is called.
        alone = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        subprocess.run(
            [*command, f"--write-cases={file}", *marked],
            cwd=tests.parent,
            env=alone,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        found: Cases = json.loads(file.read_text())
    return found


def cases_of_the_page() -> Cases:
    """Return the adapters that, by the page, were held to each promise of each port."""
    _, *sections = re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)
    ports = {title: port for port, title in PORTS.items()}
    found: Cases = {}
    for section in sections:
        title, _, text = section.partition("\n")
        head, _, *rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
        found[ports[title]] = {
            promise: [adapter for adapter, sign in zip(head[1:], signs, strict=True) if sign == "✓"]
            for promise, *signs in rows
        }
    return found


def _page(results: Results) -> Iterator[str]:
    yield _HEAD
    wanted = cases()
    for port, title in PORTS.items():
        run = results.get(port, {})
        adapters = list(dict.fromkeys(adapter for row in wanted[port].values() for adapter in row))
        yield f"## {title}\n"
        yield f"| Promise | {' | '.join(adapters)} |"
        yield f"| --- |{' --- |' * len(adapters)}"
        for promise in wanted[port]:
            signs = [run.get(promise, {}).get(adapter, "–") for adapter in adapters]
            yield f"| {promise} | {' | '.join(signs)} |"
        yield ""
        yield f"Run on {', '.join(filter(None, (_version(word) for word in _words(adapters))))}.\n"


def _words(adapters: list[str]) -> list[str]:
    return list(dict.fromkeys(word for adapter in adapters for word in adapter.split()))


@functools.cache
def _version(word: str) -> str:
    versions: dict[str, Callable[[], str]] = {
        "sqlite": lambda: f"SQLite {sqlite3.sqlite_version}",
        "postgresql": _postgresql,
        "redis": _redis,
        "rabbitmq": _rabbitmq,
        "s3": _s3,
        "local": lambda: "",
        "smtp": lambda: f"aiosmtpd {_distribution('aiosmtpd')}",
        "celery": lambda: f"Celery {_distribution('celery')}",
        "file": lambda: "a folder",
    }
    return versions[word]() if word in versions else ""


def _distribution(name: str) -> str:
    from importlib.metadata import version

    return version(name)


def _postgresql() -> str:
    import psycopg

    from tests.services import postgres_url

    with psycopg.connect(postgres_url().replace("+psycopg", "")) as connection:
        return f"PostgreSQL {str(connection.info.server_version)[:2]}"


def _redis() -> str:
    from redis import Redis

    from tests.brokers import redis_url

    return f"Redis {Redis.from_url(redis_url()).info('server')['redis_version']}"


def _rabbitmq() -> str:
    done = subprocess.run(["rabbitmqctl", "version"], capture_output=True, text=True, check=False)
    return f"RabbitMQ {done.stdout.strip()}" if done.returncode == 0 else "RabbitMQ"


def _s3() -> str:
    from tests.services import s3_url

    endpoint = parse_qs(urlsplit(s3_url()).query)["endpoint"][0]
    try:
        with urllib.request.urlopen(endpoint) as answer:
            return str(answer.headers["Server"])
    except urllib.error.HTTPError as refusal:
        return str(refusal.headers["Server"])
