"""Bad requests by class: what each is made of, and how it may be answered. Bytes alone: any client can send them.

A finding becomes a class here, and whatever belongs to the class may be added. tests/hostile/test_requests.py sends
each one beside an ordinary request, and tests/hostile/soak.py sends them in random order for as long as is wanted.
"""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import dataclass

from tests.harness.wire import connected, request

_B = "rtb0undary"
_FORM = f"multipart/form-data; boundary={_B}"
_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Hostile:
    """One bad request. `statuses` may answer it, the first of several; none where it does not come to an end by itself:
    then whoever sends it waits, and it may be answered later (408), or with the end of its connection."""

    name: str
    data: bytes
    statuses: frozenset[int] = frozenset()

    @property
    def ends(self) -> bool:
        return bool(self.statuses)


def _part(head: bytes, value: bytes = b"x") -> bytes:
    return b"--%b\r\n%b\r\n\r\n%b\r\n" % (_B.encode(), head, value)


def _field(name: str, value: bytes = b"x") -> bytes:
    return _part(f'Content-Disposition: form-data; name="{name}"'.encode(), value)


_END = f"--{_B}--\r\n".encode()
_FILE = _part(b'Content-Disposition: form-data; name="image"; filename="f"', b"no image")
_FIELDS = _field("caption") + _field("ocr", b"off") + _FILE + _END


def _explain(body: bytes, kind: str = _FORM, path: str = "/v1/explain") -> bytes:
    return request("POST", path, body, headers=[("Content-Type", kind)])


def _complete(body: bytes, kind: str = _JSON) -> bytes:
    return request("POST", "/v1/chat/completions", body, headers=[("Content-Type", kind)])


def _raw(*lines: str, body: bytes = b"") -> bytes:
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def _all(data: dict[str, bytes], *statuses: int) -> list[Hostile]:
    return [Hostile(name, each, frozenset(statuses)) for name, each in data.items()]


_POST = ("POST /v1/explain HTTP/1.1", "Host: 127.0.0.1", f"Content-Type: {_FORM}")
_CODECS = (
    *("punycode", "idna", "undefined", "utf-7", "utf-16", "unicode_escape", "base64", "zlib", "bz2", "rot13"),
    *("charmap", "encodings.aliases", "../../etc/passwd", "x" * 5000, ""),
)
_UPGRADE = ("Connection: Upgrade", "Upgrade: h2c")
_SMUGGLED = request("GET", "/v1/models")

CHARSETS = _all(
    {name[:20]: _explain(_field("caption-", b"a" * 20_000) + _FIELDS, f"{_FORM}; charset={name}") for name in _CODECS},
    *(400, 422),
)
FORMS = _all(
    {
        "no boundary": _explain(_FIELDS, "multipart/form-data"),
        "empty boundary": _explain(_FIELDS, 'multipart/form-data; boundary=""'),
        "another boundary": _explain(_FIELDS, "multipart/form-data; boundary=other"),
        "long boundary": _explain(_FIELDS, f"multipart/form-data; boundary={'b' * 20_000}"),
        "parameters": _explain(_FIELDS, "multipart/form-data; " + "; ".join(f"a{i}=b" for i in range(2000))),
        "another type": _explain(_FIELDS, "multipart/mixed; boundary=x"),
        "no type": request("POST", "/v1/explain", _FIELDS),
        "empty": _explain(b""),
        "no end": _explain(_FIELDS[: -len(_END)]),
        "a thousand fields": _explain(b"".join(_field(f"f{i}") for i in range(1000)) + _END),
        "a hundred files": _explain(_FILE * 100 + _END),
        "no name": _explain(_part(b"Content-Disposition: form-data") + _FIELDS),
        "no disposition": _explain(_part(b"X: y") + _FIELDS),
        "large header of a part": _explain(_part(b"Content-Disposition: form-data; name=" + b"a" * 100_000) + _END),
        "many headers of a part": _explain(_part(b"X: y\r\n" * 10_000 + b"A: b") + _END),
        "not UTF-8": _explain(_field("caption", b"\xff\xfe\xc3") + _field("ocr", b"off") + _FILE + _END),
        "beginnings of boundaries": _explain(_field("caption", f"\r\n--{_B[:-1]}".encode() * 20_000) + _FIELDS),
        "carriage returns": _explain(_field("caption", b"\r" * 500_000) + _FIELDS),
    },
    *(400, 413, 415, 422),
)
JSON = _all(
    {
        "never closed": _complete(b"[" * 100_000),
        "deep": _complete(b'{"a":' * 50_000 + b"1" + b"}" * 50_000),
        "UTF-16": _complete(json.dumps({"model": "x"}).encode("utf-16")),
        "UTF-32": _complete(json.dumps({"model": "x"}).encode("utf-32")),
        "another charset": _complete(b'{"model": "x"}', f"{_JSON}; charset=utf-16"),
        "half characters": _complete(rb'{"model": "\ud800", "messages": [{"role": "\ud800"}]}'),
        "many values": _complete(b'{"messages": [' + b"5," * 200_000 + b"5]}"),
        "not UTF-8": _complete(b'{"model": "\xff"}'),
        "a large number": _complete(b'{"max_tokens": ' + b"9" * 6000 + b"}"),
        "chat in UTF-16": request(
            "POST",
            f"/v1/figures/fig_{'0' * 64}/chat",
            json.dumps({"messages": []}).encode("utf-16"),
            headers=[("Content-Type", _JSON)],
        ),
    },
    *(400, 404, 413, 415, 422),
)
HEADS = _all(
    {
        "long URL": request("GET", "/" + "a" * 100_000),
        "long header": request("GET", "/healthz", headers=[("X", "a" * 100_000)]),
        "many headers": request("GET", "/healthz", headers=[("X", "y")] * 10_000),
        "long URL without an end": b"GET /" + b"a" * 300_000,
        "header without an end": _raw("GET / HTTP/1.1", "Host: a")[:-2] + b"X: " + b"a" * 300_000,
        "headers without an end": _raw("GET / HTTP/1.1", "Host: a")[:-2] + b"X: y\r\n" * 50_000,
    },
    *(431,),
)
FRAMING = _all(
    {
        "no Host": _raw("GET /healthz HTTP/1.1"),
        "two Hosts": _raw("GET /healthz HTTP/1.1", "Host: 127.0.0.1", "Host: 127.0.0.1"),
        "two lengths": _raw(*_POST, "Content-Length: 5", "Content-Length: 6", body=b"hello"),
        "length and chunks": _raw(*_POST, "Content-Length: 4", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
        "negative length": _raw(*_POST, "Content-Length: -5", body=b"hello"),
        "huge length": _raw(*_POST, f"Content-Length: {'9' * 30}"),
        "no chunk": _raw(*_POST, "Transfer-Encoding: chunked", body=b"zz\r\n"),
        "huge chunk": _raw(*_POST, "Transfer-Encoding: chunked", body=b"f" * 30 + b"\r\n"),
        "an odd coding": _raw(*_POST, "Transfer-Encoding: xchunked", body=b"0\r\n\r\n"),
        "a long extension": _raw(*_POST, "Transfer-Encoding: chunked", body=b"1;" + b"a" * 300_000),
        "trailers without an end": _raw(*_POST, "Transfer-Encoding: chunked", body=b"0\r\n" + b"X: y\r\n" * 50_000),
        "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
        "Redis": b"*1\r\n$4\r\nPING\r\n",
        "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "a proxy": _raw("CONNECT a:443 HTTP/1.1", "Host: a"),
        "all bytes": bytes(range(256)) * 20,
    },
    *(400,),
)
UPGRADES = _all(
    {
        "with a body": _raw(*_POST, *_UPGRADE, f"Content-Length: {len(_FIELDS)}", body=_FIELDS),
        "with a request for a body": _raw(*_POST, *_UPGRADE, f"Content-Length: {len(_SMUGGLED)}", body=_SMUGGLED),
        "of a WebSocket": _raw(*_POST, "Connection: upgrade", "Upgrade: websocket", "Content-Length: 2", body=b"hi"),
    },
    *(400, 422),
)
ORIGINS = _all(
    {
        "another name": request("GET", "/v1/models", host="evil.example"),
        "a name that begins like ours": request("GET", "/v1/models", host="127.0.0.1.evil.example"),
        "another page": request("POST", "/v1/figures", b"x", headers=[("Origin", "https://evil.example")]),
        "no page": request("POST", "/v1/figures", b"x", headers=[("Origin", "null")]),
    },
    *(403, 421),
)
NEVER_ENDING = _all(
    {
        "nothing": b"",
        "half a line": b"GET /",
        "half a head": b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ",
        "half a form": _raw(*_POST, "Content-Length: 100000", body=_field("caption")),
        "half a file": _raw(*_POST, "Content-Length: 10000000", body=_field("caption") + _FILE[:-4] + bytes(900_000)),
        "half a chunk": _raw(*_POST, "Transfer-Encoding: chunked", body=b"ffff\r\n" + _field("caption")),
        "half of some JSON": _raw(
            *("POST /v1/chat/completions HTTP/1.1", "Host: 127.0.0.1", f"Content-Type: {_JSON}"),
            *("Content-Length: 9000000",),
            body=b'{"model": "' + b"a" * 900_000,
        ),
    }
)
UNREAD = _all(
    {
        "half a body of no call": _raw(
            *("POST /v1/nothing HTTP/1.1", "Host: 127.0.0.1", "Content-Length: 100000"), body=b"x"
        ),
        "a body past its bound": _raw(*_POST, "Content-Length: 1000000000", body=b"x"),
    },
    *(404, 413),
)

CORPUS: dict[str, list[Hostile]] = {
    "charsets": CHARSETS,
    "forms": FORMS,
    "JSON": JSON,
    "heads": HEADS,
    "framing": FRAMING,
    "upgrades": UPGRADES,
    "origins": ORIGINS,
    "never ending": NEVER_ENDING,
    "unread": UNREAD,
}


async def send_one(url: str, randomness: random.Random) -> int | None:
    """Sends one of them, and returns the status that it is answered with. None for one that does not end: it is left
    after a moment."""
    hostile = randomness.choice(CORPUS[randomness.choice(list(CORPUS))])
    async with connected(url) as wire:
        await wire.send(hostile.data)
        if not hostile.ends:
            await asyncio.sleep(randomness.random())
            return None
        return (await wire.response()).status_code
