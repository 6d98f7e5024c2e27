"""Decoding: pictures are decoded in a process that may die of them.

A decoder is a process apart from the worker whose job it serves. It holds no secret and no connection, writes no file,
has limits on time and memory that the kernel enforces, and takes one picture after the other. When it dies, the picture
is tried once more in a new one, because a process can also be killed for something else.

    for answer in decode_apart(order, storage.read(key), check=ctx.check):
        ...  # one Facts, then a Rendition each, from the smallest to the largest
"""

from tailrace.photos.decoding.decoder import DecoderLost, OverLimit, close_decoders, decode_apart
from tailrace.photos.decoding.messages import Facts, Limits, Order, Rendition, RenditionOrder

__all__ = [
    "DecoderLost",
    "Facts",
    "Limits",
    "Order",
    "OverLimit",
    "Rendition",
    "RenditionOrder",
    "close_decoders",
    "decode_apart",
]
