"""A replica without a model: speaks the HTTP, writes its record, and fails to order."""

import argparse
import json
import os
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil

from telemetry.clock import SystemClock
from telemetry.lifecycle import ReplicaState, can_move
from telemetry.process_table import ProcessTable, ReplicaRecord


class Life:
    """The state of this replica, written to the table at every change."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.table = ProcessTable(options.table)
        self.port = 0
        self.load = options.load
        self.enter(ReplicaState.STARTING)

    def enter(self, state: ReplicaState) -> None:
        self.state, self.since = state, SystemClock().now()
        process = psutil.Process()
        self.table.put(
            ReplicaRecord(
                id=self.options.id,
                model=self.options.model,
                state=state,
                pid=process.pid,
                pid_started=process.create_time(),
                host="127.0.0.1",
                port=self.port,
                slots=8,
                since=self.since,
            )
        )

    def health(self) -> dict[str, object]:
        return {
            "id": self.options.id,
            "model": self.options.model,
            "state": self.state,
            "since": self.since,
            "running": self.load,
            "waiting": 0,
            "slots": 8,
        }


def handler(life: Life) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if life.options.mute:
                time.sleep(60)
            self.answer(200, life.health())

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            wanted = ReplicaState(json.loads(body)["state"])
            if self.headers["Authorization"] != f"Bearer {life.options.key}":
                self.answer(401, {})
            elif not can_move(life.state, wanted):
                self.answer(409, {"state": life.state})
            else:
                life.enter(wanted)
                self.answer(200, {"state": wanted})

        def answer(self, status: int, body: object) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *arguments: object) -> None:
            pass

    return Handler


def stop(life: Life) -> None:
    life.enter(ReplicaState.DRAINING)
    time.sleep(life.options.drain_seconds)
    life.table.remove(life.options.id)
    os._exit(0)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--id", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--state", type=ReplicaState, required=True)
    parser.add_argument("--key", default="key")
    parser.add_argument("--load", type=int, default=0)
    parser.add_argument("--start-delay", type=float, default=0.0)
    parser.add_argument("--drain-seconds", type=float, default=0.0)
    parser.add_argument("--crash", default="", help="write this and exit before being ready")
    parser.add_argument("--hang", action="store_true", help="never get ready")
    parser.add_argument("--mute", action="store_true", help="never answer /health")
    parser.add_argument("--stubborn", action="store_true", help="ignore SIGTERM")
    options = parser.parse_args()
    if options.crash:
        raise SystemExit(options.crash)
    life = Life(options)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(life))
    life.port = server.server_address[1]
    act = (
        signal.SIG_IGN
        if options.stubborn
        else lambda *_: threading.Thread(target=stop, args=(life,)).start()
    )
    signal.signal(signal.SIGTERM, act)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    time.sleep(3600 if options.hang else options.start_delay)
    life.enter(ReplicaState.STANDBY)
    if options.state is ReplicaState.SERVING:
        life.enter(ReplicaState.SERVING)
    signal.pause()
    time.sleep(60)


if __name__ == "__main__":
    main()
