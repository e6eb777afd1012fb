"""Parses the URL of a bucket of S3 into endpoint, bucket and prefix."""

from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass(frozen=True, slots=True)
class S3Location:
    """A bucket, or its part below `prefix`; missing values come from AWS_* variables."""

    name: str
    prefix: str | None
    endpoint: str | None
    region: str | None
    key: str | None = field(repr=False)
    secret: str | None = field(repr=False)


def parse_s3_url(url: str) -> S3Location:
    """`s3://KEY:SECRET@BUCKET/PREFIX?endpoint=https://HOST:PORT&region=REGION`.

    All but the bucket may be left out; KEY and SECRET are percent-encoded, and come together.
    Raises ValueError, which does not repeat the URL: a secret is in it.
    """
    try:
        parts = urlsplit(url)
        query = parse_qs(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError as exc:
        raise ValueError("this is no URL") from exc
    if parts.scheme != "s3" or not parts.hostname or parts.fragment:
        raise ValueError("a bucket is named as s3://KEY:SECRET@BUCKET/PREFIX?endpoint=...")
    if (parts.username is None) != (parts.password is None):
        raise ValueError("KEY and SECRET come together, percent-encoded")
    if not query.keys() <= {"endpoint", "region"} or any(len(each) > 1 for each in query.values()):
        raise ValueError("after ? there can be endpoint= and region=, each once")
    [endpoint] = query.get("endpoint", [None])
    if endpoint is not None and not endpoint.startswith(("https://", "http://")):
        raise ValueError("endpoint begins with https:// (or http://)")
    return S3Location(
        name=parts.netloc.rpartition("@")[2],
        prefix=unquote(parts.path).strip("/") or None,
        endpoint=endpoint,
        region=query.get("region", [None])[0],
        key=None if parts.username is None else unquote(parts.username),
        secret=None if parts.password is None else unquote(parts.password),
    )
