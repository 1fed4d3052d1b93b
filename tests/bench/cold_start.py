"""How large a function is, and how long its process takes until it asks for its first invocation.

Plays the Lambda Runtime API's side (AWS Lambda developer guide, "Using the Lambda runtime API") on loopback: the clock
runs from the start of the process to its first GET of an invocation. Prints the median of several rounds; with limits
it fails where they are passed.
"""

import argparse
import http.server
import os
import pathlib
import statistics
import subprocess
import sys
import threading
import time

ENVIRONMENT = {
    "SLUICE_STACK": "bench",
    "SLUICE_ACCOUNT": "000000000000",
    "SLUICE_PARTITION": "aws",
    "SLUICE_TABLE": "bench",
    "SLUICE_WORK_BUCKET": "bench-work",
    "SLUICE_STATE_MACHINE": "arn:aws:states:us-east-1:000000000000:stateMachine:bench-transfer",
    "SLUICE_READ_STREAMS": "own",
    "SLUICE_WRITE_STREAMS": "own",
    "SLUICE_READ_OBJECTS": "own",
    "SLUICE_WRITE_OBJECTS": "own",
    "SLUICE_LANES": "40",
    "SLUICE_SLICE_SECONDS": "300",
    "SLUICE_SLICE_MEMORY": "1024",
    "SLUICE_READ_SHARE": "0.5",
    "AWS_LAMBDA_FUNCTION_NAME": "bench",
    "AWS_LAMBDA_FUNCTION_VERSION": "1",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024",
    "AWS_LAMBDA_LOG_GROUP_NAME": "bench",
    "AWS_LAMBDA_LOG_STREAM_NAME": "bench",
    "AWS_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "bench",
    "AWS_SECRET_ACCESS_KEY": "bench",
}


class Runtime(http.server.ThreadingHTTPServer):
    """Notes when the first invocation is asked for, and answers none."""

    daemon_threads = True

    def __init__(self):
        self.asked, self.at = threading.Event(), None
        super().__init__(("127.0.0.1", 0), Poll)


class Poll(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path.endswith("/runtime/invocation/next") and self.server.at is None:
            self.server.at = time.perf_counter()
            self.server.asked.set()
        # Held open until the function is ended: there is no invocation.
        self.rfile.read(1)

    def log_message(self, *_):
        pass


def milliseconds(bootstrap):
    """From the start of the process to its first poll."""
    with Runtime() as runtime:
        threading.Thread(target=runtime.serve_forever, daemon=True).start()
        environment = dict(ENVIRONMENT, AWS_LAMBDA_RUNTIME_API="127.0.0.1:%d" % runtime.server_address[1])
        began = time.perf_counter()
        process = subprocess.Popen([bootstrap], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            if not runtime.asked.wait(20):
                sys.exit(f"{bootstrap} does not ask for an invocation within 20 s")
        finally:
            process.kill()
            process.wait()
            runtime.shutdown()
        return 1_000 * (runtime.at - began)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bootstraps", nargs="+", type=pathlib.Path, help="functions as they are deployed")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--largest", type=float, help="MB (10^6 bytes) that each may have")
    parser.add_argument("--longest", type=float, help="milliseconds that each may take, as the median")
    args = parser.parse_args()
    took = {bootstrap: [] for bootstrap in args.bootstraps}
    # Interleaved, so that what else the machine does meets all of them.
    for _ in range(args.rounds):
        for bootstrap in args.bootstraps:
            took[bootstrap].append(milliseconds(os.path.abspath(bootstrap)))
    passed = True
    for bootstrap, times in took.items():
        size, median = bootstrap.stat().st_size / 1e6, statistics.median(times)
        fits = (args.largest is None or size <= args.largest) and (args.longest is None or median <= args.longest)
        passed = passed and fits
        print(
            f"{bootstrap.parent.name}: {size:.1f} MB; first poll after {median:.1f} ms "
            f"(median of {len(times)}; {min(times):.1f} to {max(times):.1f}){'' if fits else '  TOO MUCH'}"
        )
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
