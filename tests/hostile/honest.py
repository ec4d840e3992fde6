"""An honest API with the habits of real ones: it keeps, echoes and encodes what it is sent.

It never sends a secret back on purpose; whether it does so in effect is up to what it is sent.
"""

from __future__ import annotations

import base64
import html
import json
import textwrap
from typing import Any
from urllib.parse import quote, urlsplit

from support.http import HttpServer, Raw, Request, Response, _Pieces, compressed


class HonestApi:
    """Adds its routes to a server."""

    def __init__(self, server: HttpServer) -> None:
        self.kept = b""
        routes: dict[str, Any] = {
            "/echo/*": self.echo,
            "/keep": self.keep,
            "/kept": lambda r: self.ranged(r, self.kept),
            "/kept/charset": self.charset,
            "/kept/coded": self.coded,
            "/kept/base64": lambda _: {"content": base64.b64encode(self.kept).decode()},
            "/kept/base64url": lambda _: {"raw": base64.urlsafe_b64encode(self.kept).decode()},
            "/kept/lines": lambda _: {"content": self.lines(60, "\n")},
            "/kept/mail": lambda _: self.lines(76, "\r\n"),
            "/kept/hex": lambda _: {"hex": self.kept.hex()},
            "/kept/go": lambda _: self.go(),
            "/kept/net": lambda _: self.net(),
            "/kept/html": lambda _: f"<p>{html.escape(self.kept.decode())}</p>",
            "/kept/link": lambda _: {"self": "/v1/" + quote(self.kept.decode(), safe="!'()*~")},
            "/kept/drip": lambda _: self.drip(1),
            "/kept/long": lambda _: self.long(),
            "/to": self.redirect,
            "/names": self.names,
            "/reason": self.reason,
            "/cookie": lambda r: Response(200, {}, {"Set-Cookie": f"s={r.query['v']}; Path=/"}),
            "/error": lambda r: Response(400, {"error": f"bad value: {r.query['v']}"}),
            "/fails": lambda r: Raw(f"HTTP/1.1 200 {r.query['v']}\r\nX: {r.query['v']}".encode()),
        }
        for path, answer in routes.items():
            server.route("*", path, answer)

    def echo(self, request: Request) -> Any:
        return {
            "target": request.target,
            "query": request.query,
            "headers": request.headers,
            "body": request.body.decode("latin-1"),
        }

    def keep(self, request: Request) -> Any:
        self.kept = request.body
        if request.headers.get("content-type", "").startswith("application/json"):
            self.kept = request.json()["text"].encode()
        return {}

    def ranged(self, request: Request, body: bytes) -> Response:
        unit, _, span = request.headers.get("range", "").partition("=")
        if unit != "bytes":
            return Response(200, body)
        start, _, end = span.partition("-")
        part = body[int(start) : int(end) + 1]
        return Response(206, part, {"Content-Range": f"bytes {start}-{end}/{len(body)}"})

    def charset(self, request: Request) -> Response:
        charset = request.headers.get("accept-charset", "utf-8")
        text = json.dumps({"text": self.kept.decode()})
        return Response(
            200, text.encode(charset), {"Content-Type": f"text/json; charset={charset}"}
        )

    def coded(self, request: Request) -> Response:
        wanted = request.headers.get("accept-encoding", "")
        if wanted == "compress":
            return Response(200, self.kept[::-1], {"Content-Encoding": "compress"})
        return compressed({"text": self.kept.decode()}, wanted.split(",")[0] or "gzip")

    def lines(self, width: int, end: str) -> str:
        return end.join(textwrap.wrap(base64.b64encode(self.kept).decode(), width))

    def go(self) -> Response:
        text = json.dumps({"text": self.kept.decode()})
        for char in "<>&":
            text = text.replace(char, f"\\u{ord(char):04x}")
        return Response(200, text.encode())

    def net(self) -> Response:
        text = json.dumps(self.kept.decode())[1:-1].replace('\\"', "\\u0022")
        for char in "<>&'+`":
            text = text.replace(char, f"\\u{ord(char):04X}")
        return Response(200, f'{{"text":"{text}"}}'.encode())

    def drip(self, size: int) -> Response:
        pieces = [self.kept[i : i + size] for i in range(0, len(self.kept), size)]
        return Response(200, _Pieces(lambda: pieces), chunked=True)

    def long(self) -> Response:
        filler = b"-" * 65_536
        return Response(200, _Pieces(lambda: [*[filler] * 20, self.kept]), chunked=True)

    def redirect(self, request: Request) -> Response:
        return Response(302, b"", {"Location": request.query["to"]})

    def names(self, request: Request) -> Response:
        names = [n for n in request.query.get("v", "").split("/") if n.isascii()]
        return Response(200, {}, {f"X-Meta-{request.query['v']}".replace("/", "-"): str(names)})

    def reason(self, request: Request) -> Response:
        return Response(418, {}, reason=f"no {request.query['v']}")


def path_of(url: str) -> str:
    return urlsplit(url).path
