"""Streaming responses that tell the truth, for any FastAPI or Starlette application.

A stream of this package ends cleanly if and only if it is complete. Otherwise the client sees a broken transfer (over
HTTP/1.1 the last chunk never comes, curl exits with 18), or, in a stream of events, a message that says why it ends.

    app = FastAPI(lifespan=lifespan)
    app.add_middleware(EarlyAnswer)        # who is refused while still sending can read why
    app.add_middleware(StreamGuard)        # last, so that it is the outermost

    @asynccontextmanager
    async def lifespan(app):
        database = Database(url, record=record)      # its commits write the event log
        drain = Drain()                              # tells streams of SIGTERM, which a server tells nobody
        async with Broker(database) as broker:       # reads the event log once for all connections
            with drain.on_signals():
                yield

Events. `publish` a fact in a transaction, and it is in the log if and only if the transaction commits. An `EventStream`
sends the facts of some channels as server-sent events, and replays what a client missed. The log is read by
`read_events`, `last_events`, `latest` and `oldest`, and shortened by `prune_events`; a `Cursor` is a position in it.

Tables. A `TableStream` sends the rows of a `TableQuery` as CSV or JSON Lines, encoded by the database itself. Jobs
write the same bytes to files with `encode_table`.

Files and text. A `FileDownload` sends a `ByteSource`, whole or in ranges, with its digest; a `TextStream` sends what an
asynchronous generator yields, `counter_stream` counts for whoever looks for a proxy that keeps streams back.

Uploads. `Incoming` is a request's body: its length is checked before the first byte is read, then it is counted, and a
client that is too slow, sends too much or goes away is an `UploadRefused`, which carries its HTTP status. `multipart`
reads a form from it, part by part; `store` writes what comes into a file that becomes visible when it is whole, or not
at all, and lets inspectors look at it on the way. Memory does not grow with what is sent. `tus` has the words of
resumable uploads.

    @app.post("/pictures", status_code=201)
    async def receive(request: Request, user: CurrentUser) -> dict[str, int]:    # signed in before a byte is read
        incoming = Incoming(request, Intake(max_bytes=50_000_000), drain=drain)
        sizes = {}
        async for part in multipart(incoming, request.headers.get("content-type")):
            if part.filename:
                file = await store(part.pieces(), storage.write(f"pictures/{new_id()}"))
                sizes[part.filename] = file.size
        return sizes

Every response takes a `drain` and, where it has a thread of its own, `slots` that bound how many there are. Make a new
kind of response by subclassing `Stream`. `tailrace.streams.testing` has what tests of such applications need.
"""

from tailrace.streams import tus
from tailrace.streams.broker import Broker
from tailrace.streams.cursors import START, Cursor, MalformedCursor
from tailrace.streams.dispositions import content_disposition
from tailrace.streams.downloads import DOWNLOAD_SLOTS, ByteSource, FileDownload, LinkedSource, SourceChanged
from tailrace.streams.drain import Drain
from tailrace.streams.events import Event, adopt_order, last_events, latest, oldest, prune_events, read_events, record
from tailrace.streams.exchange import LeastRate, Stalled, Stream, TooSlow, Writer
from tailrace.streams.guard import StreamBroken, StreamGuard
from tailrace.streams.lingering import EarlyAnswer
from tailrace.streams.messages import encode_message
from tailrace.streams.multipart import Part, multipart
from tailrace.streams.pump import Slots, TooManyStreams
from tailrace.streams.queries import Format, TableQuery
from tailrace.streams.refusals import (
    BodyTooLarge,
    ClientGone,
    ClientTooSlow,
    MalformedBody,
    MalformedMultipart,
    NotMultipart,
    ServerStopping,
    UploadRefused,
)
from tailrace.streams.responses import TABLE_SLOTS, TableStream
from tailrace.streams.sse import EventStream, Pace
from tailrace.streams.storing import Inspector, Received, Sink, receive, store
from tailrace.streams.subscriptions import Batch, ReaderTooSlow, Subscription
from tailrace.streams.tables import Chunk, encode_table
from tailrace.streams.text import TextStream, counter_stream
from tailrace.streams.threads import in_upload_thread
from tailrace.streams.uploads import Incoming, Intake

__all__ = [
    "DOWNLOAD_SLOTS",
    "START",
    "TABLE_SLOTS",
    "Batch",
    "BodyTooLarge",
    "Broker",
    "ByteSource",
    "Chunk",
    "ClientGone",
    "ClientTooSlow",
    "Cursor",
    "Drain",
    "EarlyAnswer",
    "Event",
    "EventStream",
    "FileDownload",
    "Format",
    "Incoming",
    "Inspector",
    "Intake",
    "LeastRate",
    "LinkedSource",
    "MalformedBody",
    "MalformedCursor",
    "MalformedMultipart",
    "NotMultipart",
    "Pace",
    "Part",
    "ReaderTooSlow",
    "Received",
    "ServerStopping",
    "Sink",
    "Slots",
    "SourceChanged",
    "Stalled",
    "Stream",
    "StreamBroken",
    "StreamGuard",
    "Subscription",
    "TableQuery",
    "TableStream",
    "TextStream",
    "TooManyStreams",
    "TooSlow",
    "UploadRefused",
    "Writer",
    "adopt_order",
    "content_disposition",
    "counter_stream",
    "encode_message",
    "encode_table",
    "in_upload_thread",
    "last_events",
    "latest",
    "multipart",
    "oldest",
    "prune_events",
    "read_events",
    "receive",
    "record",
    "store",
    "tus",
]
