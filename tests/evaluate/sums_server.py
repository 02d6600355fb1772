"""A scripted OpenAI-compatible server on this machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = tuple[int, dict[str, Any]] | None
"""Status and body; None drops the connection."""


def said(text: str, finish: str = "stop", *, reasoning: str | None = None, tokens: int = 5) -> Reply:
    """A chat completion."""
    message = {"role": "assistant", "content": text} | ({} if reasoning is None else {"reasoning_content": reasoning})
    usage = {"prompt_tokens": 11, "completion_tokens": tokens}
    return 200, {"choices": [{"index": 0, "message": message, "finish_reason": finish}], "usage": usage}


class Scripted:
    """`reply(question, seed, turn)` says what a request meets: the last message's text, its seed, and how often it was sent
    before. `bodies` are the requests as they came."""

    def __init__(self, reply: Callable[[str, int, int], Reply]) -> None:
        self.reply, self.bodies, self.turns, self.lock = reply, [], {}, threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                body["authorization"] = self.headers.get("Authorization")
                name = (body["messages"][-1]["content"], body.get("seed", 0))
                with outer.lock:
                    outer.bodies.append(body)
                    turn = outer.turns.get(name, 0)
                    outer.turns[name] = turn + 1
                found = outer.reply(*name, turn)
                if found is None:
                    self.close_connection = True
                    return
                data = json.dumps(found[1]).encode()
                self.send_response(found[0])
                self.send_header("Retry-After", "0")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
