"""Keys: how they are made and read, who is let in, and who is not."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from prometheus_client import CollectorRegistry
from pydantic import SecretStr
from starlette.types import Scope

from launcher.cli import main
from llava_graph.api_keys import digest, new_key
from service.app import create_app
from service.middleware import admission
from service.middleware import authentication as access
from service.middleware.authentication import AccessError, KeyRing, is_loopback, keys_are_asked_for
from service.middleware.callers import Limits, anonymous
from service.settings import GatewaySettings
from tests.harness.gateway import MANIFEST
from tests.paths import REPOSITORY


def _file(folder: Path, text: str) -> Path:
    path = folder / "keys.toml"
    path.write_text(text)
    return path


def _entry(name: str, *keys: str, more: str = "") -> str:
    return f"[keys.{name}]\nsha256 = {[digest(key.encode()) for key in keys]}\n{more}\n"


def test_command_shows_a_key_once_and_the_lines_that_accept_it(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["keys", "new", "alice"])
    assert result.exit_code == 0
    [key] = re.findall(r"lg_[\w-]{43}", result.stderr)
    assert key not in result.stdout
    caller = KeyRing(GatewaySettings(keys_file=_file(tmp_path, result.stdout))).caller(key.encode())
    assert caller is not None
    assert caller.name == "alice"


@pytest.mark.parametrize("name", ["", "two words", "a.b", "-a", "é", "x" * 65])
def test_command_refuses_a_name_that_would_need_quotes(name: str) -> None:
    result = CliRunner().invoke(main, ["keys", "new", "--", name])
    assert result.exit_code == 1
    assert result.stdout == ""


def test_no_two_keys_are_the_same() -> None:
    assert len({new_key() for _ in range(100)}) == 100


def test_digest_is_the_sha256() -> None:
    assert digest(b"key") == hashlib.sha256(b"key").hexdigest()


def test_keys_of_file_and_environment_are_both_accepted(tmp_path: Path) -> None:
    settings = GatewaySettings(
        keys_file=_file(tmp_path, _entry("alice", "a")), keys=SecretStr(f'keys.bob.sha256 = ["{digest(b"b")}"]')
    )
    ring = KeyRing(settings)
    assert [caller and caller.name for caller in map(ring.caller, (b"a", b"b", b"c"))] == ["alice", "bob", None]


def test_own_limits_go_before_those_of_the_settings(tmp_path: Path) -> None:
    text = _entry("alice", "a", more="requests_per_minute = 5\nconcurrent_streams = 0") + _entry("bob", "b")
    settings = GatewaySettings(keys_file=_file(tmp_path, text), requests_per_minute=60, concurrent_streams=4)
    ring = KeyRing(settings)
    alice, bob = ring.caller(b"a"), ring.caller(b"b")
    assert alice is not None
    assert bob is not None
    assert alice.limits == Limits(requests_per_minute=5)
    assert bob.limits == Limits(requests_per_minute=60, concurrent_streams=4)


WRONG_FILES = {
    "not TOML": "[keys",
    "not UTF-8": "\udcff",
    "no digest": "[keys.alice]",
    "empty list": "[keys.alice]\nsha256 = []",
    "a key instead of its digest": '[keys.alice]\nsha256 = ["lg_the-key-itself"]',
    "limit as text": _entry("alice", "a", more='requests_per_minute = "5"'),
    "negative limit": _entry("alice", "a", more="requests_per_minute = -1"),
    "unknown limit": _entry("alice", "a", more="requests_per_hour = 1"),
    "unknown table": "[key.alice]",
    "name in quotes": f'[keys."two words"]\nsha256 = ["{digest(b"a")}"]',
    "keys of which it says that there are none": "without_keys = true\n" + _entry("alice", "a"),
    "one key of two callers": _entry("alice", "a") + _entry("bob", "a"),
}


@pytest.mark.parametrize("wrong", WRONG_FILES)
def test_wrong_key_file_is_refused_by_name_and_without_its_words(tmp_path: Path, wrong: str) -> None:
    path = tmp_path / "keys.toml"
    path.write_bytes(WRONG_FILES[wrong].encode(errors="surrogateescape"))
    with pytest.raises(AccessError, match=r"keys\.toml") as caught:
        KeyRing(GatewaySettings(keys_file=path))
    assert "lg_the-key-itself" not in str(caught.value)


def test_name_that_file_and_environment_both_have_is_refused(tmp_path: Path) -> None:
    settings = GatewaySettings(
        keys_file=_file(tmp_path, _entry("alice", "a")), keys=SecretStr(f'keys.alice.sha256 = ["{digest(b"b")}"]')
    )
    with pytest.raises(AccessError, match="alice"):
        KeyRing(settings)


def test_missing_key_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AccessError, match=r"keys\.toml"):
        KeyRing(GatewaySettings(keys_file=tmp_path / "keys.toml"))


async def test_changed_file_is_taken_over_and_a_broken_one_is_not(tmp_path: Path) -> None:
    path = _file(tmp_path, _entry("alice", "old"))
    ring = KeyRing(GatewaySettings(keys_file=path))

    async def accepted(*keys: bytes) -> list[bool]:
        await ring.look_again()
        return [ring.caller(key) is not None for key in keys]

    path.write_text(_entry("alice", "old", "new"))
    assert await accepted(b"old", b"new") == [True, True]
    path.write_text("[keys")
    assert await accepted(b"old", b"new") == [True, True]
    path.unlink()
    assert await accepted(b"old", b"new") == [True, True]
    path.write_text(_entry("alice", "new"))
    assert await accepted(b"old", b"new") == [False, True]


async def test_rotated_key_stays_the_same_caller(tmp_path: Path) -> None:
    ring = KeyRing(GatewaySettings(keys_file=_file(tmp_path, _entry("alice", "old", "new"))))
    assert ring.caller(b"old") == ring.caller(b"new")


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("gateway.example", False),
        ("", False),
    ],
)
def test_loopback_is_what_only_this_machine_reaches(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


@pytest.mark.parametrize(
    ("mode", "host", "has_keys", "asked"),
    [
        ("auto", "127.0.0.1", False, False),
        ("auto", "127.0.0.1", True, True),
        ("auto", "0.0.0.0", False, None),
        ("auto", "0.0.0.0", True, True),
        ("keys", "127.0.0.1", False, None),
        ("keys", "127.0.0.1", True, True),
        ("open", "0.0.0.0", False, False),
        ("open", "0.0.0.0", True, False),
    ],
)
def test_keys_are_asked_for_where_others_reach_the_gateway(
    tmp_path: Path, mode: str, host: str, has_keys: bool, asked: bool | None
) -> None:
    """None: the gateway must not start."""
    path = _file(tmp_path, _entry("alice", "a")) if has_keys else None
    settings = GatewaySettings(access=mode, host=host, keys_file=path)  # type: ignore[arg-type]
    if asked is None:
        with pytest.raises(AccessError, match="llava-graph keys new"):
            keys_are_asked_for(settings, KeyRing(settings))
    else:
        assert keys_are_asked_for(settings, KeyRing(settings)) is asked


@pytest.mark.parametrize("text", ["", "\n", "# no keys yet\n", "[keys]\n"])
@pytest.mark.parametrize(("mode", "host"), [("auto", "127.0.0.1"), ("auto", "0.0.0.0"), ("keys", "127.0.0.1")])
async def test_file_that_is_named_closes_the_gateway_whatever_it_holds(
    tmp_path: Path, text: str, mode: str, host: str
) -> None:
    path = _file(tmp_path, text)
    settings = GatewaySettings(access=mode, host=host, keys_file=path)  # type: ignore[arg-type]
    ring = KeyRing(settings)
    assert keys_are_asked_for(settings, ring)
    assert ring.caller(b"") is None
    path.write_text(_entry("alice", "a"))
    await ring.look_again()
    assert ring.caller(b"a") is not None


def test_file_may_say_that_there_are_no_keys_where_only_this_machine_reaches_the_gateway(tmp_path: Path) -> None:
    path = _file(tmp_path, "without_keys = true")
    here = GatewaySettings(keys_file=path)
    assert not keys_are_asked_for(here, KeyRing(here))
    for refused in (GatewaySettings(keys_file=path, host="0.0.0.0"), GatewaySettings(keys_file=path, access="keys")):
        with pytest.raises(AccessError, match="llava-graph keys new"):
            keys_are_asked_for(refused, KeyRing(refused))


async def test_gateway_without_keys_closes_when_its_file_no_longer_says_so_and_never_opens(tmp_path: Path) -> None:
    path = _file(tmp_path, "without_keys = true")
    ring = KeyRing(GatewaySettings(keys_file=path))
    for text, without_keys in (
        ("without_keys = true\n", True),
        ("[keys", True),
        ("", False),
        ("without_keys = true", False),
        (_entry("alice", "a"), False),
        ("without_keys = true", False),
    ):
        path.write_text(text)
        await ring.look_again()
        assert ring.without_keys is without_keys
    assert ring.caller(b"a") is not None


def test_compose_s_own_file_says_that_there_are_no_keys() -> None:
    ring = KeyRing(GatewaySettings(keys_file=REPOSITORY / "deploy" / "compose" / "no-keys.toml"))
    assert ring.without_keys


def test_variable_that_is_empty_names_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAVA_GRAPH_KEYS_FILE", "")
    assert GatewaySettings().keys_file is None


@pytest.mark.parametrize(
    ("host", "published_host", "asked"),
    [
        ("0.0.0.0", "127.0.0.1", False),
        ("0.0.0.0", "0.0.0.0", None),
        ("0.0.0.0", "", None),
        ("127.0.0.1", "10.0.0.1", None),
        ("0.0.0.0", "127.0.0.1,::1", False),
    ],
)
def test_in_a_container_it_is_the_published_address_that_counts(
    host: str, published_host: str, asked: bool | None
) -> None:
    """None: the gateway must not start. Docker publishes a port without an address at every one of its machine."""
    settings = GatewaySettings(host=host, published_host=published_host)
    if asked is None:
        with pytest.raises(AccessError, match=f"On {published_host} others"):
            keys_are_asked_for(settings, KeyRing(settings))
    else:
        assert keys_are_asked_for(settings, KeyRing(settings)) is asked


@pytest.mark.parametrize("beside", ["10.0.0.1", ""])
def test_one_published_address_that_others_reach_is_enough_for_keys(beside: str) -> None:
    settings = GatewaySettings(host="0.0.0.0", published_host=f"127.0.0.1,{beside}")
    with pytest.raises(AccessError, match=f"On {beside} others"):
        keys_are_asked_for(settings, KeyRing(settings))


@pytest.mark.parametrize(
    ("host", "bucket"),
    [
        ("192.0.2.7", "address:192.0.2.7"),
        ("::ffff:192.0.2.7", "address:192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "address:2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "address:2001:db8:1:2::/64"),
        ("testclient", "address:testclient"),
        (None, "address:local"),
    ],
)
def test_anonymous_callers_are_told_apart_by_address_or_household(host: str | None, bucket: str) -> None:
    scope: Scope = {"type": "http", "client": None if host is None else (host, 1)}
    assert anonymous(scope, Limits()).bucket == bucket


def test_only_what_lies_outside_of_v1_is_open() -> None:
    app = create_app(GatewaySettings(), manifest=MANIFEST, registry=CollectorRegistry())
    paths = {str(getattr(route, "path", "")) for route in app.routes} | set(app.openapi()["paths"])
    assert "/v1/explain" in paths
    closed = {path for path in paths if path and not access.is_open(path)}
    assert closed == {path for path in paths if path.startswith("/v1/")}


def test_every_call_that_answers_has_to_be_admitted() -> None:
    document = create_app(GatewaySettings(), manifest=MANIFEST, registry=CollectorRegistry()).openapi()
    answering = {
        (method.upper(), path.replace("{id}", "fig_1"))
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if "text/event-stream" in operation["responses"].get("200", {}).get("content", {})
    }
    assert ("POST", "/v1/explain") in answering
    for method, path in answering:
        assert admission.asks_for_answer({"type": "http", "method": method, "path": path})
    assert not admission.asks_for_answer({"type": "http", "method": "POST", "path": "/v1/figures"})
