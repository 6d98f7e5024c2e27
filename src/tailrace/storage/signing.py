"""Links to objects of S3 that say how they are to be served: signatures of AWS, version 4, in the query.

The storage library signs links too, and knows where the bucket is, but its links carry no `response-…` parameters, so
a browser would save a file under the last part of its key. Its link is therefore signed again with them, which takes
the secret key.
"""

import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urlsplit

# What S3 lets a link say about the answer.
_SERVED = {
    "Cache-Control": "response-cache-control",
    "Content-Disposition": "response-content-disposition",
    "Content-Type": "response-content-type",
}


def sign_again(link: str, secret_access_key: str, headers: Mapping[str, str]) -> str:
    """Return the signed `link` for an answer that carries those of `headers` that S3 lets a link ask for.

    https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
    """
    parts = urlsplit(link)
    query = {name: value for name, value in parse_qsl(parts.query, keep_blank_values=True) if name != "X-Amz-Signature"}
    query |= {parameter: headers[name] for name, parameter in _SERVED.items() if name in headers}
    canonical = urlencode(sorted(query.items()), quote_via=quote, safe="-_.~")
    signature = _sign(parts, canonical, secret_access_key, query)
    return parts._replace(query=f"{canonical}&X-Amz-Signature={signature}").geturl()


def _sign(parts: SplitResult, canonical: str, secret_access_key: str, query: Mapping[str, str]) -> str:
    request = f"GET\n{parts.path}\n{canonical}\nhost:{parts.netloc}\n\nhost\nUNSIGNED-PAYLOAD"
    _key_id, day, region, service, _request = query["X-Amz-Credential"].split("/")
    scope = f"{day}/{region}/{service}/aws4_request"
    digest = hashlib.sha256(request.encode()).hexdigest()
    key = f"AWS4{secret_access_key}".encode()
    for part in (day, region, service, "aws4_request", f"AWS4-HMAC-SHA256\n{query['X-Amz-Date']}\n{scope}\n{digest}"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key.hex()
