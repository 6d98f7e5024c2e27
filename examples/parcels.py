"""An application of its own on Tailrace's jobs and streams. After `make setup`, in its folder:

    ../.venv/bin/uvicorn parcels:app --port 8001

In another terminal, a job, the stream of its events until it is done, and a stream of all parcels:

    URL=http://127.0.0.1:8001
    EVENTS=$(curl -s --json '{"street": "Mill Lane 3"}' $URL/parcels | cut -d '"' -f 4)
    curl -sN $URL$EVENTS
    curl -s $URL/parcels.csv
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Body, FastAPI, Header
from sqlalchemy import select
from sqlalchemy.orm import Mapped, mapped_column

from tailrace.database import Base, Database
from tailrace.jobs import JobApp, JobContext, channel_of, enqueue, job
from tailrace.jobs.engines.local import running_engine
from tailrace.streams import Broker, Drain, EventStream, StreamGuard, TableQuery, TableStream, record

database = Database(os.environ.get("PARCELS_DATABASE", "sqlite:///parcels.db"), record=record)
broker, drain = Broker(database), Drain()


class Parcel(Base):  # noqa: D101
    __tablename__ = "parcels"
    id: Mapped[int] = mapped_column(primary_key=True)
    street: Mapped[str]
    state: Mapped[str] = mapped_column(default="accepted")


@job("parcels.deliver")
def deliver(ctx: JobContext[None], parcel_id: int) -> None:  # noqa: D103
    for corner in range(3):
        ctx.progress(corner + 1, 3, "on the way")
    with ctx.transaction() as session:
        session.get_one(Parcel, parcel_id).state = "delivered"


jobs = JobApp(database, [deliver], None)


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:  # noqa: D103
    Base.metadata.create_all(database.engine)
    async with broker:
        with running_engine(f"{__name__}:jobs"), drain.on_signals():
            yield


app = FastAPI(lifespan=lifespan)
app.add_middleware(StreamGuard)


@app.post("/parcels", status_code=202)
def accept(street: Annotated[str, Body(embed=True)]) -> dict[str, str]:
    """Accept a parcel and have it delivered: both, or neither."""
    with database.write() as session:
        session.add(parcel := Parcel(street=street))
        session.flush()
        return {"events": f"/jobs/{enqueue(session, deliver, {'parcel_id': parcel.id}).id}/events"}


@app.get("/jobs/{job_id}/events")
def follow(job_id: str, last_event_id: Annotated[str | None, Header()] = None) -> EventStream:
    """Follow a delivery from its beginning, or from where the connection broke, to its end."""
    return EventStream(
        broker=broker,
        drain=drain,
        channels=[channel_of(job_id)],
        last_event_id=last_event_id,
        replay_all=True,
        until=lambda event: '"completed"' in event.data,
    )


@app.get("/parcels.csv")
def export() -> TableStream:
    """Stream all parcels, however many they are."""
    query = TableQuery(select(Parcel.id, Parcel.street, Parcel.state), key=Parcel.id)
    return TableStream(database, query, "csv", filename="parcels.csv", drain=drain)
