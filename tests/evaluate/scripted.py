"""A scripted OpenAI-compatible server: known answers, delays, refusals, dropped connections; and what it was asked."""

import json
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def choice(text, index=0, finish="stop", reasoning=""):
    return {"index": index, "message": {"content": text, "reasoning_content": reasoning}, "finish_reason": finish}


def reply_of(*choices, prompt_tokens=0, completion_tokens=0):
    usage = {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens}
    return {"choices": list(choices), "usage": usage}


def refuse(status, text="no", **headers):
    return lambda handler: handler.send(status, {"error": text}, headers)


def drop(handler):
    """Begin a response and hang up."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"choices": [')
    handler.close_connection = True


class Scripted:
    """Gives `answer(body)`, a response's JSON, or what `trouble(body, turn)` does at the turn-th request of the same body.

    Attributes:
        bodies: every request, in the order of arrival; most: requests in flight at once at most.
    """

    def __init__(self, answer, trouble=lambda body, turn: None, *, delay_s=0.0, models=({"id": "student"},)):
        self.bodies, self.seen, self.in_flight, self.most = [], Counter(), 0, 0
        self.answered = Counter()
        lock, outer = threading.Lock(), self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def send(self, status, data, headers=()):
                raw = json.dumps(data).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(raw)))
                for name, value in dict(headers).items():
                    self.send_header(name.replace("_", "-"), value)
                self.end_headers()
                self.wfile.write(raw)

            def do_GET(self):
                self.send(200, {"data": list(models)} if self.path.endswith("/models") else {})

            def do_POST(self):
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                body = json.loads(raw)
                with lock:
                    turn = outer.seen[raw]
                    outer.seen[raw] += 1
                    outer.bodies.append(body)
                    outer.in_flight += 1
                    outer.most = max(outer.most, outer.in_flight)
                try:
                    time.sleep(delay_s(body) if callable(delay_s) else delay_s)
                    if (meet := trouble(body, turn)) is not None:
                        meet(self)
                    else:
                        self.send(200, answer(body))
                        with lock:
                            outer.answered[raw] += 1
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True
                finally:
                    with lock:
                        outer.in_flight -= 1

        class Http(ThreadingHTTPServer):
            request_queue_size = 512
            daemon_threads = True

        self.http = Http(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.http.shutdown()
        self.http.server_close()
