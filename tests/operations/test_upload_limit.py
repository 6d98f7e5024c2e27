"""A body over the limit, sent by a client that does not stop: it still reads why it was refused."""

import subprocess
from pathlib import Path

import pytest

from tests.operations.conftest import Installation


@pytest.mark.parametrize("headers", [["Expect:"], ["Expect: 100-continue"], ["Transfer-Encoding: chunked", "Expect:"]])
def test_a_large_upload_is_told_that_it_is_too_large(
    installation: Installation, tmp_path: Path, headers: list[str]
) -> None:
    large = tmp_path / "large"
    large.write_bytes(b"x" * 30_000_000)
    flags = [flag for header in headers for flag in ("-H", header)]
    token = installation.ben.headers["authorization"]
    url = f"{installation.service.url}/projects"
    done = subprocess.run(
        [
            "curl",
            "-s",
            "-w",
            "\n%{http_code}",
            *flags,
            "-H",
            f"Authorization: {token}",
            "--data-binary",
            f"@{large}",
            url,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    body, _, status = done.stdout.rpartition("\n")
    assert status == "413", done
    assert "larger than the limit of 1048576 bytes" in body
