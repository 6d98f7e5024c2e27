"""200 MB of JPEGs in 20 files, sent to the service's form and to plain FastAPI applications: rate and peak memory.

    python -m benchmarks.uploads [--quick]

Once in one form, and once in 20 forms at the same time. The plain application takes `list[UploadFile]` and copies each
to a file of its own, as FastAPI's documentation has it; another one hashes each file as well and flushes it to the
disk. The service does that, looks at every picture while it comes, and commits a row and a job for it. Its engine does
not run: what jobs do later is not measured here. Each runs in a process of its own under uvicorn, the service with the
protocol of `tailrace serve`. All are sent the same files by the same curl, in turns, when everything written before is
on the disk and the files of the turn before are gone: their memory is used again, for memory that a virtual machine
never used costs more than to receive what is put there. The peak of a server's memory is that of the first 200 MB,
above what it had when it was idle after 100 small uploads.
"""

import argparse
import contextlib
import hashlib
import io
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import psutil
import uvicorn
from fastapi import FastAPI, UploadFile
from PIL import Image

from benchmarks.service import EMAIL, tailrace
from tailrace.app import create_app
from tailrace.bootstrap import build
from tailrace.settings import Settings

FILES = 20
WARM_UPS = 5
BIG = 500_000  # bytes: none but the files that were sent is larger
GOAL_RATE = 1.0
GOAL_MEMORY = 0.25
Send = Callable[["Contestant", Sequence[Path]], Sequence[str]]


@dataclass
class Contestant:
    """A server that takes forms of files, and what was measured of it."""

    name: str
    address: str
    process: psutil.Process
    folder: Path
    options: Sequence[str] = ()
    rates: list[float] = field(default_factory=list)
    growth: float = 0.0

    @property
    def rate(self) -> float:
        """Megabytes a second."""
        return statistics.median(self.rates)

    def form(self, files: Sequence[Path]) -> list[str]:
        """Return curl's arguments for a form of these files."""
        parts = [option for file in files for option in ("-F", f"files=@{file}")]
        return ["-sS", "-o", "/dev/null", "-w", "%{http_code} ", *self.options, *parts, self.address]


def main() -> None:
    """Measure, or be one of the servers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small run, to see that it works")
    parser.add_argument("--serve", choices=SERVERS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        app = SERVERS[given.serve](given.folder)
        http = "tailrace.cli.protocol:Http" if given.serve == "service" else "httptools"
        Server(uvicorn.Config(app, port=0, http=http, access_log=False, log_level="error")).run()
        return
    for title, command in (("one form", one_form), ("20 forms at once", forms_at_once)):
        compare(title, command, megapixels=1 if given.quick else 10, repeat=1 if given.quick else 7)


def one_form(contestant: Contestant, files: Sequence[Path]) -> Sequence[str]:
    """Return the command that sends the files in one form."""
    return ["curl", *contestant.form(files)]


def forms_at_once(contestant: Contestant, files: Sequence[Path]) -> Sequence[str]:
    """Return the command that sends each file in a form of its own, all at the same time."""
    first, *others = ([*contestant.form([file])] for file in files)
    rest = [argument for other in others for argument in ("--next", *other)]
    return ["curl", "--parallel", "--parallel-immediate", "--parallel-max", str(FILES), *first, *rest]


def compare(title: str, command: Send, *, megapixels: float, repeat: int) -> None:
    """Let all servers take the same files in turns, and print what came out."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        pictures = make_pictures(Path(folder, "pictures"), megapixels)
        contestants = [
            stack.enter_context(running_service(Path(folder, "data"))),
            stack.enter_context(running_plain("UploadFile", "plain", Path(folder, "plain"))),
            stack.enter_context(running_plain("the same, hashed and flushed", "careful", Path(folder, "careful"))),
        ]
        small = make_pictures(Path(folder, "small"), 0.01)
        for each in contestants:
            warm_up(each, small)
        for turn in range(repeat):
            for each in contestants[:: 1 if turn % 2 else -1]:
                take_turn(each, command, pictures)
        report(title, contestants, sum(file.stat().st_size for file in pictures))


def warm_up(contestant: Contestant, pictures: Sequence[Path]) -> None:
    """Let a server have done everything some times before it is measured."""
    for _ in range(WARM_UPS):
        for picture in pictures:
            renew(picture)
        run(one_form(contestant, pictures))


def take_turn(contestant: Contestant, command: Send, pictures: Sequence[Path]) -> None:
    """Send every picture once, unlike any before."""
    for picture in pictures:
        renew(picture)
    for file in contestant.folder.rglob("*"):
        if file.is_file() and file.stat().st_size > BIG:
            file.unlink()
    os.sync()
    before = memory_bytes(contestant.process, "VmRSS")
    Path(f"/proc/{contestant.process.pid}/clear_refs").write_text("5")  # the peak begins anew
    seconds = run(command(contestant, pictures))
    contestant.rates.append(sum(file.stat().st_size for file in pictures) / 1e6 / seconds)
    if len(contestant.rates) == 1:
        contestant.growth = (memory_bytes(contestant.process, "VmHWM") - before) / 1e6


def run(command: Sequence[str]) -> float:
    """Run curl and return how many seconds it took; every answer must have been a success."""
    began = time.perf_counter()
    statuses = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    seconds = time.perf_counter() - began
    assert set(statuses) <= {"201", "202"}, statuses
    return seconds


def report(title: str, contestants: Sequence[Contestant], size: int) -> None:
    """Print the figures beside each other."""
    service = contestants[0]
    print(f"{size / 1e6:.0f} MB in {FILES} files, {title}:")
    for each in contestants:
        spread = f"{each.rate:6.0f} MB/s ({min(each.rates):.0f} to {max(each.rates):.0f})"
        figures = f"{each.name:30} {spread:26} {each.growth:6.1f} MB of memory above idle"
        ratios = f"   rate {service.rate / each.rate:.2f}, memory {service.growth / each.growth:.2f}"
        print(figures if each is service else figures + ratios)
    print(f"goals: rate {GOAL_RATE}, memory {GOAL_MEMORY}")


def make_pictures(folder: Path, megapixels: float) -> list[Path]:
    """Make JPEGs of noise, with about a byte for each pixel."""
    folder.mkdir()
    side = int((megapixels * 1e6) ** 0.5)
    file = io.BytesIO()
    Image.effect_noise((side, side), 90).convert("RGB").save(file, "JPEG", quality=95)
    start, rest = file.getvalue()[:2], file.getvalue()[2:]
    pictures = [folder / f"{number}.jpg" for number in range(FILES)]
    for picture in pictures:
        comment = b"\xff\xfe\x00\x12" + bytes(16)
        picture.write_bytes(start + comment + rest)
    return pictures


def renew(picture: Path) -> None:
    """Put another comment into a JPEG, so that its bytes are none that were seen before."""
    with picture.open("r+b") as file:
        file.seek(6)
        file.write(uuid.uuid4().bytes)


def memory_bytes(process: psutil.Process, name: str) -> int:
    """Return what the kernel says of a process's memory: VmRSS, or its peak VmHWM."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.split(f"{name}:")[1].split()[0]) * 1024


@contextlib.contextmanager
def running_service(data: Path) -> Iterator[Contestant]:
    """Run the service's API alone, with a project and a task to add photos to."""
    tailrace(data, "migrate")
    tailrace(data, "user", "create", EMAIL, "--admin", "--password-stdin", stdin="correct horse battery")
    token = tailrace(data, "token", "create", EMAIL).strip()
    with running("service", data) as (url, process):
        with httpx2.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}) as client:
            project = client.post("/projects", json={"name": "Mill"}).json()["id"]
            task = client.post(f"/projects/{project}/tasks", json={"title": "Wheel"}).json()["id"]
        address = f"{url}/tasks/{task}/photos"
        yield Contestant("service", address, process, data / "files", ["-H", f"Authorization: Bearer {token}"])


@contextlib.contextmanager
def running_plain(name: str, server: str, folder: Path) -> Iterator[Contestant]:
    """Run one of the plain applications."""
    folder.mkdir()
    with running(server, folder) as (url, process):
        yield Contestant(name, f"{url}/files", process, folder)


@contextlib.contextmanager
def running(server: str, folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """Run one of the servers in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.uploads", "--serve", server, "--folder", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip(), psutil.Process(process.pid)
        finally:
            process.terminate()


def make_service(data: Path) -> FastAPI:
    """Make the service, without its engine."""
    return create_app(build(Settings(data=data)))


def make_plain(folder: Path) -> FastAPI:
    """Make an application that stores files as FastAPI's documentation shows."""
    app = FastAPI()

    @app.post("/files", status_code=201)
    def upload(files: list[UploadFile]) -> int:
        for file in files:
            with (folder / uuid.uuid4().hex).open("wb") as target:
                shutil.copyfileobj(file.file, target)
        return len(files)

    return app


def make_careful(folder: Path) -> FastAPI:
    """Make one that also knows what it has stored, and that it will still be there after a power cut."""
    app = FastAPI()

    @app.post("/files", status_code=201)
    def upload(files: list[UploadFile]) -> list[str]:
        return [keep(file, folder / uuid.uuid4().hex) for file in files]

    return app


def keep(file: UploadFile, path: Path) -> str:
    """Store a file, flushed to the disk, and return its SHA-256."""
    digest = hashlib.sha256()
    with path.open("wb") as target:
        while piece := file.file.read(1024 * 1024):
            digest.update(piece)
            target.write(piece)
        target.flush()
        os.fsync(target.fileno())
    return digest.hexdigest()


SERVERS: dict[str, Callable[[Path], FastAPI]] = {
    "service": make_service,
    "plain": make_plain,
    "careful": make_careful,
}


class Server(uvicorn.Server):
    """A server that tells its address."""

    async def startup(self, sockets: object = None) -> None:
        await super().startup()
        port = self.servers[0].sockets[0].getsockname()[1]
        print(f"http://127.0.0.1:{port}", flush=True)


if __name__ == "__main__":
    main()
