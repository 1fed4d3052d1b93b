"""What S3 does and the emulator does not: refuse a request that names another owner than the bucket's.

A proxy in front of the emulator's S3, for the functions alone. It passes everything on as it comes, but answers 403
AccessDenied, as S3 does, where `x-amz-expected-bucket-owner` is not the account that the bucket belongs to (Amazon S3
user guide, "Verifying bucket ownership with bucket owner condition").
"""

import contextlib
import http.client
import http.server
import threading
import urllib.parse

CHUNK = 1 << 18
HEADER = "x-amz-expected-bucket-owner"
# Said anew on each of the two connections (RFC 9110, section 7.6.1), or answered by this side.
HOP_BY_HOP = ("connection", "keep-alive", "transfer-encoding", "expect")
DENIED = b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>'


class OwnerProxy:
    """Listens on 127.0.0.1 until it is closed."""

    def __init__(self, upstream, owner):
        self.upstream = upstream
        self.owner = owner
        # Buckets that belong to somebody else, and to whom.
        self.strangers = {}
        self.requests = 0
        # Requests that named no owner.
        self.unguarded = []
        self.denied = []
        handler = type("Handler", (_Handler,), {"proxy": self})
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self):
        return "http://127.0.0.1:%d" % self.server.server_address[1]

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def admits(self, line, path, claimed):
        """Whether the bucket belongs to whom the request says. A request without a claim is let through, and noted."""
        self.requests += 1
        bucket = urllib.parse.unquote(path.lstrip("/").partition("?")[0].partition("/")[0])
        if claimed is None:
            self.unguarded.append(line)
            return True
        if claimed == self.strangers.get(bucket, self.owner):
            return True
        self.denied.append(line)
        return False


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # An answer's head and body leave as they are written.
    wbufsize = 0
    proxy = None

    def log_message(self, *_):
        pass

    def do_any(self):
        left = int(self.headers.get("Content-Length", 0))
        if "Transfer-Encoding" in self.headers:
            # Bodies here have a length; what has none could not be told from the next request.
            self.close_connection = True
            self.send_error(501)
            return
        line = f"{self.command} {self.path}"
        if self.proxy.admits(line, self.path, self.headers.get(HEADER)):
            self.pass_on(left)
        else:
            for _ in self.body(left):
                pass
            self.answer(403, [("Content-Type", "application/xml")], DENIED)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_any

    def body(self, left):
        while left > 0:
            chunk = self.rfile.read(min(CHUNK, left))
            if not chunk:
                raise ConnectionError("the request ends before its body does")
            left -= len(chunk)
            yield chunk

    def answer(self, status, headers, body):
        self.send_response_only(status)
        for name, value in [*headers, ("Content-Length", str(len(body)))]:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def pass_on(self, left):
        host = self.proxy.upstream.partition("//")[2]
        with contextlib.closing(http.client.HTTPConnection(host, timeout=60)) as upstream:
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            upstream.putheader("Host", host)
            for name, value in self.headers.items():
                if name.lower() not in (*HOP_BY_HOP, "host"):
                    upstream.putheader(name, value)
            upstream.endheaders()
            for chunk in self.body(left):
                upstream.send(chunk)
            response = upstream.getresponse()
            headers = [pair for pair in response.getheaders() if pair[0].lower() not in HOP_BY_HOP]
            bare = self.command == "HEAD" or response.status in (204, 304)
            if response.getheader("Content-Length") is None and not bare:
                self.answer(response.status, headers, response.read())
                return
            self.send_response_only(response.status)
            for name, value in headers:
                self.send_header(name, value)
            self.end_headers()
            for chunk in iter(lambda: response.read(CHUNK), b""):
                self.wfile.write(chunk)
