"""A server on this machine that speaks as much of S3 as is needed to read a public bucket, and can misbehave."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

PAGE = 100
"""Keys that are listed at once."""

Fault = Callable[["Answer"], None]


@dataclass
class Bucket:
    """What the server has, and what it is to do wrong.

    Attributes:
        name: the bucket's.
        objects: content by key.
        sizes: of keys that are listed but have no content.
        faults: by key, what is done to the next answers, one after the other.
        requests: what was asked for so far: key and first byte.
        url: of the server.
    """

    name: str
    objects: dict[str, bytes] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    requests: list[tuple[str, int]] = field(default_factory=list)
    url: str = ""

    def listed(self) -> list[tuple[str, int, str]]:
        """Key, size and ETag of each object, by key."""
        real = {key: (len(content), etag_of(content)) for key, content in self.objects.items()}
        unreal = {key: (size, "0" * 32) for key, size in self.sizes.items() if key not in real}
        return [(key, *there) for key, there in sorted({**real, **unreal}.items())]


@dataclass
class Answer:
    """An answer before it is sent; a fault changes it."""

    status: int
    body: bytes
    sent: int | None = None
    """So many bytes are sent, then the connection is cut."""


def etag_of(content: bytes) -> str:
    """As S3 makes it of an object that was put there in one part."""
    return hashlib.md5(content).hexdigest()


def failing(status: int) -> Fault:
    """Answers with this status."""

    def fault(answer: Answer) -> None:
        answer.status, answer.body = status, b""

    return fault


def cut_after(n_bytes: int) -> Fault:
    """Sends so much and hangs up."""

    def fault(answer: Answer) -> None:
        answer.sent = n_bytes

    return fault


def with_a_wrong_byte(answer: Answer) -> None:
    """The last byte is another one."""
    answer.body = answer.body[:-1] + bytes([answer.body[-1] ^ 1])


@contextmanager
def serving(bucket: Bucket) -> Iterator[Bucket]:
    """Serve it while the block lasts."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            name, _, key = unquote(url.path).lstrip("/").partition("/")
            if name != bucket.name:
                self._answer(Answer(404, b"<Error><Code>NoSuchBucket</Code></Error>"))
            elif not key:
                self._answer(Answer(200, _listing(bucket, parse_qs(url.query))))
            else:
                self._object(key)

        def _object(self, key: str) -> None:
            start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
            bucket.requests.append((key, start))
            content = bucket.objects.get(key)
            if content is None:
                answer = Answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
            elif self.headers.get("If-Match", "").strip('"') not in {"", etag_of(content)}:
                answer = Answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
            else:
                answer = Answer(206, content[start:])
            if faults := bucket.faults.get(key):
                faults.pop(0)(answer)
            etag = etag_of(content) if content is not None else ""
            self._answer(answer, {"ETag": f'"{etag}"', "Content-Range": f"bytes {start}-/{len(content or b'')}"})

        def _answer(self, answer: Answer, headers: Mapping[str, str] | None = None) -> None:
            self.send_response(answer.status)
            for name, value in {**(headers or {}), "Content-Length": str(len(answer.body))}.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(ConnectionError):  # a client that was stopped
                self.wfile.write(answer.body[: answer.sent])
            self.close_connection = answer.sent is not None

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    bucket.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield bucket
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _listing(bucket: Bucket, query: Mapping[str, list[str]]) -> bytes:
    (prefix,) = query.get("prefix", [""])
    (after,) = query.get("continuation-token", [""])
    found = [each for each in bucket.listed() if each[0].startswith(prefix) and each[0] > after]
    page, rest = found[:PAGE], found[PAGE:]
    entries = "".join(
        f"<Contents><Key>{escape(key)}</Key><Size>{size}</Size><ETag>&quot;{etag}&quot;</ETag></Contents>"
        for key, size, etag in page
    )
    token = f"<NextContinuationToken>{escape(page[-1][0])}</NextContinuationToken>" if rest else ""
    return (
        '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<Name>{bucket.name}</Name><Prefix>{escape(prefix)}</Prefix><KeyCount>{len(page)}</KeyCount>"
        f"<IsTruncated>{str(bool(rest)).lower()}</IsTruncated>{token}{entries}</ListBucketResult>"
    ).encode()
