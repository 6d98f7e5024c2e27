"""Photos a second to their three renditions: the service's engine, beside `vipsthumbnail` and Pillow on the same files.

    python -m benchmarks.photos [--quick]

JPEGs of 12 and 24 megapixels, made by code with detail at every scale, as natural pictures have, and with colours at
half the resolution, as phones write them, become WebPs of 2048, 1024 and 256 pixels of the same quality and effort,
each by two processes on one thread. The service is `tailrace serve` with its two workers: what is measured goes from
the commit of the jobs to the commit of the last photo, with reading and checking the original, placeholder, rows,
events, and every rendition flushed to the disk. The peers read and write plain files. `vipsthumbnail` makes one size a
call, of all of a process's files, each from the original; Pillow opens a file once, with `draft()`, and goes from the
largest to the smallest. All take turns; ours is given originals that it has never seen.
"""

import argparse
import hashlib
import multiprocessing
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import count, repeat
from pathlib import Path
from typing import Any

import pyvips  # type: ignore[import-untyped]  # the library has no annotations
from PIL import Image, ImageOps
from sqlalchemy import func, select

from benchmarks.service import EMAIL, running_service, tailrace
from tailrace.accounts.principal import Principal
from tailrace.bootstrap import Tailrace, build
from tailrace.database import new_id, utcnow
from tailrace.jobs import get_job
from tailrace.photos import receiving
from tailrace.photos.inspection import Picture
from tailrace.photos.keys import original_key
from tailrace.photos.models import Photo, PhotoState
from tailrace.photos.processing import EFFORTS
from tailrace.photos.settings import PhotoSettings
from tailrace.settings import load_settings

PROCESSES = 2
GOAL_OF_VIPS = 0.8
GOAL_OF_PILLOW = 1.3
SIZES = {"12 MP": (4032, 3024), "24 MP": (6000, 4000)}
SETTINGS = PhotoSettings()
RENDITIONS = [(longest, EFFORTS[name]) for name, longest in zip(EFFORTS, SETTINGS.sizes, strict=True)][::-1]
QUALITY = SETTINGS.quality
WITHIN_S = 600
_serial = count(1)


@dataclass
class Contestant:
    """Somebody who makes renditions of files, and how many photos a second it made each time."""

    name: str
    process: Callable[[Sequence[Path]], float]
    rates: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return statistics.median(self.rates)


def main() -> None:
    """Make the pictures, run the contestants in turns, and print what they did."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small run, to see that it works")
    quick = parser.parse_args().quick
    number, rounds = (4, 1) if quick else (16, 5)
    print(f"photos a second to WebPs of 2048, 1024 and 256 px, {PROCESSES} processes, median of {rounds} rounds")
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "data")
        with running_service(data), ProcessPoolExecutor(PROCESSES, _spawning()) as pool:
            tailrace(data, "user", "create", EMAIL, "--admin", "--password-stdin", stdin="correct horse battery")
            service = build(load_settings(data=data))
            try:
                for title, size in SIZES.items():
                    files = make_photos(Path(folder), size, number)
                    measure(title, files, contestants(service, pool), rounds)
            finally:
                service.database.dispose()


def contestants(service: Tailrace, pool: ProcessPoolExecutor) -> list[Contestant]:
    """Return who takes part, ours first."""
    with_pillow = Contestant("Pillow with draft()", partial(in_processes, pool, with_pillow_each))
    return [Contestant("tailrace", partial(with_tailrace, service)), vips_contestant(pool), with_pillow]


def measure(title: str, files: Sequence[Path], them: Sequence[Contestant], rounds: int) -> None:
    """Let everybody process all the files, in turns, and print the rates."""
    for contestant in them:
        contestant.process(files[:PROCESSES])
    for _ in range(rounds):
        for contestant in them:
            os.sync()
            contestant.rates.append(len(files) / contestant.process(files))
    ours, vips, pillow = them
    print(f"{title}, {sum(file.stat().st_size for file in files) / len(files) / 1e6:.1f} MB each")
    for each in them:
        spread = f"{min(each.rates):.2f}-{max(each.rates):.2f}"
        print(f"  {each.name:34} {each.rate:7.2f} /s   {spread:>12}   {ours.rate / each.rate:5.2f} × by tailrace")
    print(f"  goals: {GOAL_OF_VIPS} of {vips.name}, {GOAL_OF_PILLOW} × {pillow.name}", flush=True)


def make_photos(folder: Path, size: tuple[int, int], number: int) -> list[Path]:
    """Write that many JPEGs of this size: windows of one large scene, each turned another way."""
    width, height = size
    scene = make_scene(width + 400, height + 400)
    target = Path(tempfile.mkdtemp(dir=folder))
    paths = []
    for index in range(number):
        window = scene.crop(index * 16 % 400, index * 16 % 400, width, height)
        turned = (window, window.fliphor(), window.flipver(), window.rot180())[index % 4]
        paths.append(target / f"{index:03}.jpg")
        turned.jpegsave(str(paths[-1]), Q=90, subsample_mode="on")
    return paths


def make_scene(width: int, height: int) -> Any:
    """Return a picture whose detail has the same strength at every scale, with edges, slopes of colour, and grain."""
    image = pyvips.Image
    texture = sum(
        image.perlin(width, height, cell_size=2**octave, seed=octave) * 26 * 0.93 ** (10 - octave)
        for octave in range(1, 11)
    )
    edges = (image.perlin(width, height, cell_size=300, seed=5) > 0.05) / 255 * 40
    edges += (image.worley(width, height, cell_size=160, seed=13) > 60) / 255 * 24
    bands = []
    for band, (strength, light) in enumerate([(1, 60), (0.95, 45), (0.85, 30)]):
        colour = image.perlin(width, height, cell_size=700, seed=31 + band) * 40
        grain = image.gaussnoise(width, height, sigma=2.5, mean=0, seed=61 + band)
        bands.append(texture * strength + edges + colour + grain + image.xyz(width, height)[1] / height * light + 65)
    return bands[0].bandjoin(bands[1:]).cast("uchar").copy(interpretation="srgb").copy_memory()


def with_tailrace(service: Tailrace, files: Sequence[Path]) -> float:
    """Return the seconds from the commit that enqueues photos to the one that makes the last of them ready."""
    new = [take_in(service, file) for file in files]
    principal = Principal(1, EMAIL, EMAIL, True, "token")
    with service.database.write() as session:
        ids = [photo.id for photo in receiving.add_photos(session, principal, None, new)]
    began, give_up_at = utcnow(), time.monotonic() + WITHIN_S
    while count_ready(service, ids) < len(ids):
        if time.monotonic() > give_up_at:
            raise TimeoutError("the photos do not become ready")
        time.sleep(0.1)  # To ask more often would take a tenth of a core from those who work.
    return (last_finished(service, ids) - began).total_seconds()


def take_in(service: Tailrace, file: Path) -> receiving.NewPhoto:
    """Put a file into the storage as an upload does; it differs in its last bytes from all there were before."""
    data, photo_id = file.read_bytes() + next(_serial).to_bytes(8), new_id()
    with service.storage.write(original_key(photo_id)) as writer:
        writer.write(data)
    with Image.open(file) as opened:
        picture = Picture("jpeg", "image/jpeg", *opened.size, 1)
    digest = hashlib.sha256(data).hexdigest()
    return receiving.NewPhoto(photo_id, None, file.name, picture, len(data), digest)


def count_ready(service: Tailrace, ids: Sequence[str]) -> int:
    with service.database.read() as session:
        query = select(Photo.state, func.count()).where(Photo.id.in_(ids)).group_by(Photo.state)
        states = {str(state): int(number) for state, number in session.execute(query)}
    assert PhotoState.FAILED not in states, "a photo failed"
    return states.get(PhotoState.READY, 0)


def last_finished(service: Tailrace, ids: Sequence[str]) -> datetime:
    """Return when the last job of these photos had ended, by the clock that they and we share."""
    with service.database.read() as session:
        jobs = [get_job(session, job) for job in session.scalars(select(Photo.job_id).where(Photo.id.in_(ids))) if job]
    return max(job.finished_at for job in jobs if job.finished_at)


def vips_contestant(pool: ProcessPoolExecutor) -> Contestant:
    """Return `vipsthumbnail`, or loudly the same calls from Python where it is not installed."""
    if shutil.which("vipsthumbnail") is None:
        print("vipsthumbnail IS NOT INSTALLED (Debian: libvips-tools); a plain script with the same calls stands in")
        return Contestant("a script with pyvips (stand-in)", partial(in_processes, pool, with_pyvips_each))
    version = subprocess.run(["vipsthumbnail", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    return Contestant(f"vipsthumbnail ({version})", with_vipsthumbnail)


def with_vipsthumbnail(files: Sequence[Path]) -> float:
    """Return the seconds that two shells take, each with half of the files, with one call for each size."""
    environment = {**os.environ, "VIPS_CONCURRENCY": "1"}
    with tempfile.TemporaryDirectory(dir=files[0].parent) as folder:
        calls = [
            f"vipsthumbnail {{}} --size {longest} -o '{folder}/%s-{longest}.webp[Q={QUALITY},effort={effort},strip]'"
            for longest, effort in RENDITIONS
        ]
        halves = [" ".join(map(str, files[start::PROCESSES])) for start in range(PROCESSES)]
        began = time.perf_counter()
        shells = [
            subprocess.Popen(["sh", "-ec", "\n".join(calls).replace("{}", half)], env=environment) for half in halves
        ]
        codes = [shell.wait() for shell in shells]
        took = time.perf_counter() - began
        assert codes == [0] * PROCESSES
        assert len(list(Path(folder).iterdir())) == len(files) * len(RENDITIONS)
    return took


def in_processes(pool: ProcessPoolExecutor, each: Callable[[Path, Path], None], files: Sequence[Path]) -> float:
    """Return the seconds that processes that are warm take for all the files."""
    with tempfile.TemporaryDirectory(dir=files[0].parent) as folder:
        began = time.perf_counter()
        list(pool.map(each, files, repeat(Path(folder))))
        took = time.perf_counter() - began
        assert len(list(Path(folder).iterdir())) == len(files) * len(RENDITIONS)
    return took


def with_pillow_each(file: Path, folder: Path) -> None:
    with Image.open(file) as opened:
        opened.draft("RGB", (RENDITIONS[0][0],) * 2)
        ImageOps.exif_transpose(opened, in_place=True)
        for longest, effort in RENDITIONS:
            opened.thumbnail((longest, longest))
            opened.save(folder / f"{file.stem}-{longest}.webp", quality=QUALITY, method=effort)


def with_pyvips_each(file: Path, folder: Path) -> None:
    pyvips.concurrency_set(1)
    for longest, effort in RENDITIONS:
        made = pyvips.Image.thumbnail(str(file), longest, height=longest)
        made.webpsave(str(folder / f"{file.stem}-{longest}.webp"), Q=QUALITY, effort=effort, keep="none")


def _spawning() -> Any:
    # A fork of a process in which libvips has threads hangs.
    return multiprocessing.get_context("spawn")


if __name__ == "__main__":
    main()
