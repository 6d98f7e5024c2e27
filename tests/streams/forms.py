"""Forms as browsers and curl write them."""

from collections.abc import Sequence

#: Name, file name or None for a field, and data.
Field = tuple[str, str | None, bytes]


def encode(fields: Sequence[Field], boundary: str = "B") -> bytes:
    """Return a form as the body of a request."""
    body = b""
    for name, filename, data in fields:
        body += f'--{boundary}\r\nContent-Disposition: form-data; name="{_escape(name)}"'.encode()
        if filename is not None:
            body += f'; filename="{_escape(filename)}"\r\nContent-Type: image/jpeg'.encode()
        body += b"\r\n\r\n" + data + b"\r\n"
    return body + f"--{boundary}--\r\n".encode()


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
