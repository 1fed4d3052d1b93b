"""Proxies between the functions and the emulator: they do what the emulator does not, and end a function mid-request.

`OwnerProxy` refuses, as S3 does, a request that names another owner than the bucket's: 403 AccessDenied where
`x-amz-expected-bucket-owner` is not the account that the bucket belongs to (Amazon S3 user guide, "Verifying bucket
ownership with bucket owner condition"). Everything else is passed on as it comes.
"""

import collections
import contextlib
import http.client
import http.server
import os
import re
import signal
import threading
import time
import urllib.parse

import rights

CHUNK = 1 << 18
# A fault that happens to a request. After `lands` seconds it is carried out, or never if that is None; its sender's
# connection is cut at once. Else it is carried out now, and answered after `answers` seconds, or never if that is None.
Fault = collections.namedtuple("Fault", "cut lands answers", defaults=(False, None, None))
OWNER = "x-amz-expected-bucket-owner"
# Said anew on each of the two connections (RFC 9110, section 7.6.1), or answered by this side.
HOP_BY_HOP = ("connection", "keep-alive", "transfer-encoding", "expect")
DENIED = b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>'


class Proxy:
    """Listens on 127.0.0.1 until it is closed."""

    def __init__(self, upstream):
        self.upstream = upstream
        self.deadly = None
        # Requests that are carried out later.
        self.landing = []
        self.lock = threading.Lock()
        # What was asked for, by whom, each once: `rights.Asked`.
        self.asked = set()
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

    def land(self, request, body, seconds):
        """Carries a request out that late."""

        def carry_out():
            with request.forwarded(body) as response:
                response.read()

        timer = threading.Timer(seconds, carry_out)
        timer.daemon = True
        self.landing.append(timer)
        timer.start()

    def landed(self):
        """Waits until nothing is to land any more."""
        for timer in self.landing:
            timer.join(timeout=120)

    def note(self, request, body):
        """What a request asks for; `body` is that of a service that says it there."""
        asked = rights.asked(request.command, request.path, request.headers, body)
        with self.lock:
            self.asked.update(asked)

    def refuses(self, _):
        """Whether a request is denied; asked once for each."""
        return False

    def fault(self, _):
        """What happens to a request, as a `Fault`; nothing to most. Asked once for each."""
        return None

    def passed(self, request):
        """A request was carried out, and its answer sent."""

    def kill_after(self, matches, group):
        """The next request that matches is carried out, and who sent it is killed before it hears of that. Only a
        process of that group is."""
        self.deadly = (matches, group)

    def is_deadly(self, request):
        """The group of whom the request is to kill; none for most."""
        with self.lock:
            if self.deadly is None or not self.deadly[0](request):
                return None
            (_, group), self.deadly = self.deadly, None
            return group


class OwnerProxy(Proxy):
    """S3's part: buckets have owners."""

    def __init__(self, upstream, owner):
        super().__init__(upstream)
        self.owner = owner
        # Buckets that belong to somebody else, and to whom.
        self.strangers = {}
        self.requests = 0
        # Requests that named no owner; they are let through.
        self.unguarded = []
        self.denied = []
        # What was asked for of objects: path, and first and last byte; none of these two for all of it.
        self.read = []

    def refuses(self, request):
        self.requests += 1
        if request.command == "GET":
            stretch = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("Range", ""))
            first, last = map(int, stretch.groups()) if stretch else (None, None)
            self.read.append((urllib.parse.unquote(request.path.partition("?")[0]), first, last))
        line, claimed = f"{request.command} {request.path}", request.headers.get(OWNER)
        bucket = urllib.parse.unquote(request.path.lstrip("/").partition("?")[0].partition("/")[0])
        if claimed is None:
            self.unguarded.append(line)
            return False
        if claimed == self.strangers.get(bucket, self.owner):
            return False
        self.denied.append(line)
        return True


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # An answer's head and body leave as they are written.
    wbufsize = 0
    proxy = None

    def log_message(self, *_):
        pass

    def do_any(self):
        # A function that is stopped or killed goes away in the middle of a request: nobody is left to answer.
        try:
            self.do_one()
        except ConnectionError:
            self.close_connection = True

    def do_one(self):
        left = int(self.headers.get("Content-Length", 0))
        if "Transfer-Encoding" in self.headers:
            # Bodies here have a length; what has none could not be told from the next request.
            self.close_connection = True
            self.send_error(501)
            return
        body = self.body(left)
        if rights.TARGET in self.headers:
            body = [b"".join(body)]
        self.proxy.note(self, body[0] if isinstance(body, list) else b"")
        if self.proxy.refuses(self):
            for _ in body:
                pass
            self.answer(403, [("Content-Type", "application/xml")], DENIED)
        elif (fault := self.proxy.fault(self)) is not None:
            self.fail(list(body), fault)
        else:
            self.pass_on(body)
            self.proxy.passed(self)

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

    def pass_on(self, body):
        with self.forwarded(body) as response:
            self.pass_back(response)

    @contextlib.contextmanager
    def forwarded(self, chunks):
        """The request, carried out, and its answer."""
        host = self.proxy.upstream.partition("//")[2]
        with contextlib.closing(http.client.HTTPConnection(host, timeout=60)) as upstream:
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            upstream.putheader("Host", host)
            for name, value in self.headers.items():
                if name.lower() not in (*HOP_BY_HOP, "host"):
                    upstream.putheader(name, value)
            upstream.endheaders()
            for chunk in chunks:
                upstream.send(chunk)
            yield upstream.getresponse()

    def fail(self, body, fault):
        if fault.cut:
            self.close_connection = True
            if fault.lands is not None:
                self.proxy.land(self, body, fault.lands)
            return
        with self.forwarded(body) as response:
            if fault.answers is None:
                response.read()
                self.close_connection = True
                return
            time.sleep(fault.answers)
            self.pass_back(response)
        self.proxy.passed(self)

    def pass_back(self, response):
        group = self.proxy.is_deadly(self)
        if group is not None:
            response.read()
            kill_peer(self.client_address, group)
            self.close_connection = True
            return
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


def kill_peer(address, group):
    """Kills the process at the other end of a connection of this machine, if it is of that group (Linux, proc(5))."""
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table]
    sockets = {f"socket:[{row[9]}]" for row in rows if row[1].endswith(f":{address[1]:04X}")}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        # A process may end while it is looked at.
        with contextlib.suppress(ProcessLookupError, FileNotFoundError, PermissionError):
            if os.getpgid(int(pid)) == group and has_one_of(pid, sockets):
                os.kill(int(pid), signal.SIGKILL)
                return


def has_one_of(pid, sockets):
    folder = f"/proc/{pid}/fd"
    for name in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError):
            if os.readlink(f"{folder}/{name}") in sockets:
                return True
    return False
