"""What people had, they have after a move: the service is asked the same before and after it."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from PIL import Image

from tests.copying.test_command import storage_address
from tests.photos.tus_client import TusClient
from tests.photos.uploading import jpeg
from tests.service import Service, run_command
from tests.services import postgres_url, s3_keys
from tests.streams.serving import wait_for

pytestmark = pytest.mark.acceptance
PLACE = {1: "N", 2: (47.0, 22.0, 30.0), 3: "E", 4: (8.0, 32.0, 24.0)}


@dataclass
class Site:
    """What was made before the move: the tokens of two people, and the ids of what they have."""

    ada: str
    bob: str
    project: int
    task: int
    photos: list[str]
    upload: str

    def ask_everything(self, service: Service) -> dict[str, Any]:
        """Return every answer that should be the same on both sides."""
        task, project = f"/tasks/{self.task}", f"/projects/{self.project}"
        pages = ["/projects", f"{project}/tasks", f"{project}/members", f"{project}/filters", f"{project}/photos", task]
        pages += [f"{task}/{each}" for each in ("photos", "comments", "activity", "checklist")]
        pages += ["/photos/trash", "/reports", "/uploads", *(f"/photos/{photo}" for photo in self.photos)]
        with service.client(self.ada) as ada, service.client(self.bob) as bob:
            answers = {path: ok(ada.get(path)).json() for path in pages}
            answers |= {f"bob's {path}": ok(bob.get(path)).json() for path in ("/inbox", "/inbox/settings")}
            for photo in self.photos:
                for version in ("original", "thumb", "small"):
                    answers[f"{photo} {version}"] = ok(ada.get(f"/photos/{photo}/{version}")).content
        # Which is a mark of the database's own.
        answers["bob's /inbox"].pop("seen")
        return answers


def ok(answer: httpx2.Response) -> httpx2.Response:
    assert answer.is_success, f"{answer.request.url}: {answer.text}"
    return answer


def test_everybody_has_on_the_other_side_what_they_had(tmp_path: Path) -> None:
    database, files = postgres_url(), storage_address()
    with Service(tmp_path / "old") as old:
        site = make_site(old)
        before = site.ask_everything(old)
    copied = run_command(tmp_path / "old", "copy", "--to", database, "--to-storage", files, **s3_keys())
    assert copied.returncode == 0, copied.stderr
    secret = (tmp_path / "old" / "secret.key").read_text().strip()
    settings = {"TAILRACE_DATABASE_URL": database, "TAILRACE_STORAGE_URL": files, "TAILRACE_SECRET": secret}
    with Service(tmp_path / "new", {**settings, **s3_keys()}) as new:
        assert site.ask_everything(new) == before
        finish_upload(new, site)
        with new.client(site.ada) as ada, new.client(site.bob) as bob:
            ok(bob.post("/inbox/read", json={"all": True, "until": ok(bob.get("/inbox")).json()["seen"]}))
            assert ok(bob.get("/inbox")).json()["unread"] == 0
            # And what is new gets a number of its own.
            made = ok(ada.post(f"/projects/{site.project}/filters", json=saved_filter("Low", "low"))).json()
            assert made["id"] not in {each["id"] for each in before[f"/projects/{site.project}/filters"]["items"]}


def make_site(service: Service) -> Site:
    """Use everything that has tables of its own."""
    keys = service.create_user("ada@example.org", admin=True), service.create_user("bob@example.org")
    with service.client(keys[0]) as ada, service.client(keys[1]) as bob:
        project = ok(ada.post("/projects", json={"name": "Mill Quarter"})).json()["id"]
        ok(ada.post(f"/projects/{project}/members", json={"email": "bob@example.org", "role": "member"}))
        new = {"title": "Seal the joints", "assignee": "bob@example.org", "labels": ["facade"], "priority": "high"}
        task = ok(ada.post(f"/projects/{project}/tasks", json=new)).json()["id"]
        ok(ada.post(f"/tasks/{task}/comments", json={"body": "Before *Friday*, please."}))
        ok(ada.post(f"/tasks/{task}/checklist", json={"title": "North side"}))
        ok(ada.post(f"/projects/{project}/filters", json=saved_filter("Urgent", "high")))
        choices = ok(bob.get("/inbox/settings")).json()["items"]
        change = {"kind": choices[0]["kind"], "mail": not choices[0]["mail"]}
        ok(bob.patch("/inbox/settings", json={"items": [change]}))
        wait_for(lambda: len(ok(bob.get("/inbox")).json()["items"]) >= 2)
        photos = add_photos(ada, task)
        report = ok(ada.post("/reports", json={"kind": "tasks", "format": "csv"})).json()
        ok(ada.get(report["events"]))
    tus = TusClient(service.url, keys[0])
    upload = tus.create(len(jpeg()), filename="half.jpg", task=str(task))
    assert tus.patch(upload, 0, jpeg()[: len(jpeg()) // 2]).status == 204
    return Site(*keys, project, task, photos, httpx2.URL(upload).path)


def saved_filter(name: str, priority: str) -> dict[str, Any]:
    return {"name": name, "filter": {"priority": priority}, "shared": True, "default": True}


def add_photos(client: httpx2.Client, task: int) -> list[str]:
    """Add three photos with the place where they were taken: two of them a pair, the third in the trash."""
    files = [("file", (f"{number}.jpg", picture(number), "image/jpeg")) for number in range(3)]
    entries = ok(client.post(f"/tasks/{task}/photos", files=files)).json()["photos"]
    first, second, third = ids = [entry["url"].rsplit("/", 1)[1] for entry in entries]
    wait_for(lambda: {ok(client.get(f"/photos/{photo}")).json()["state"] for photo in ids} == {"ready"})
    ok(client.put(f"/photos/{first}/pair", json={"after": second}))
    ok(client.patch(f"/photos/{second}", json={"caption": "Tight — at last"}))
    ok(client.delete(f"/photos/{third}"))
    facts = ok(client.get(f"/photos/{first}")).json()
    assert facts["camera"] == "Canon EOS R6"
    return [first, second]


def picture(number: int) -> bytes:
    exif = Image.Exif()
    exif.update({0x010F: "Canon", 0x0110: "Canon EOS R6"})
    exif.get_ifd(0x8825).update(PLACE)
    file = io.BytesIO()
    Image.effect_noise((400, 300 + number), 90).convert("RGB").save(file, "JPEG", exif=exif)
    return file.getvalue()


def finish_upload(service: Service, site: Site) -> None:
    """Send the other half of the upload that was half done before the move, and see the photo."""
    tus = TusClient(service.url, site.ada)
    half = len(jpeg()) // 2
    assert tus.offset(site.upload) == half
    assert tus.patch(site.upload, half, jpeg()[half:]).status == 204
    with service.client(site.ada) as ada:
        done = ok(ada.get(site.upload)).json()
        photo = httpx2.URL(done["photo"]).path
        wait_for(lambda: ok(ada.get(photo)).json()["state"] == "ready")
        assert ok(ada.get(f"{photo}/original")).content == jpeg()
