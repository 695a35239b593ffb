"""What a parser gets to see of a Content-Type."""

from __future__ import annotations

import pytest
from python_multipart.multipart import parse_options_header

from service.middleware.plain_content_type import plain

FORM = b"multipart/form-data"


@pytest.mark.parametrize(
    "given",
    [
        b"multipart/form-data; boundary=x; charset=punycode",
        b"multipart/form-data; charset*=punycode''x; boundary=x",
        b"Multipart/Form-Data; CHARSET=undefined; BOUNDARY=x; charset=utf-7",
        b'multipart/form-data; boundary="x"; charset="idna"; name=x',
    ],
)
def test_form_keeps_its_boundary_alone(given: bytes) -> None:
    assert plain(given) == b'multipart/form-data; boundary="x"'


@pytest.mark.parametrize("boundary", [b"a b", b'quo"te', b"back\\slash", b"semi;colon", b"'()+_,-./:=?"])
def test_boundary_reads_as_it_did(boundary: bytes) -> None:
    escaped = boundary.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    given = b'multipart/form-data; charset=x; boundary="' + escaped + b'"'
    [_, before], [kind, after] = parse_options_header(given), parse_options_header(plain(given))
    assert kind == FORM
    assert after == {b"boundary": before[b"boundary"]}


@pytest.mark.parametrize(
    ("given", "left"),
    [
        (b"application/json; charset=utf-16", b"application/json"),
        (b"application/x-www-form-urlencoded; charset=punycode", b"application/x-www-form-urlencoded"),
        (b"multipart/form-data; charset=x", FORM),
        (b"multipart/form-data" + b";" * 30_000, FORM),
        (b"multipart/form-data; boundary=" + b"x" * 30_000, FORM),
        (b"x" * 30_000 + b";", b"x" * 1024),
    ],
)
def test_everything_else_keeps_nothing(given: bytes, left: bytes) -> None:
    assert plain(given) == left
