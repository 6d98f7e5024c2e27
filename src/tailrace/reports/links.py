"""Links to a report's file that work without signing in."""

from urllib.parse import urlencode

from itsdangerous import BadData, URLSafeSerializer

from tailrace.errors import Forbidden

_SALT = "tailrace.reports.file"


def file_path(report_id: str) -> str:
    """Return the path of a report's file."""
    return f"/reports/{report_id}/file"


def sign_path(secret: bytes, report_id: str) -> str:
    """Return the path of a report's file with a signature, which lasts for as long as the file."""
    signature = URLSafeSerializer(secret, salt=_SALT).dumps(report_id)
    return f"{file_path(report_id)}?{urlencode({'signature': signature})}"


def check_signature(secret: bytes, report_id: str, signature: str) -> None:
    """Raise Forbidden unless the signature was made for this report with this secret."""
    try:
        valid = URLSafeSerializer(secret, salt=_SALT).loads(signature) == report_id
    except (BadData, ValueError):
        valid = False
    if not valid:
        raise Forbidden("The signature of this link is not valid: copy the whole link from the mail, or sign in.")
