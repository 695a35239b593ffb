"""API key authentication: the key file, and the middleware that checks a request's key.

A key file (TOML, `LLAVA_GRAPH_KEYS_FILE`), the setting `LLAVA_GRAPH_KEYS` with the same in it, or both, hold what is
known of each key (llava_graph/api_keys.py): a name, the SHA-256 digests that it accepts, and limits of its own.

    [keys.alice]
    sha256 = ["9f86…"]              # several while one key is replaced by another
    requests_per_minute = 60        # what is not named here is as in the settings

The file is read again when it changes; one that cannot be read changes nothing. A key is checked when a request begins:
answers under way finish after their key was removed. Where a file is named, callers need a key, also while the file
holds none: an empty file refuses every caller. A file that says `without_keys = true`, as Compose's own does, is as if
none were named, until it says otherwise.

Every path outside of `_OPEN` needs a key, also one that does not exist: a new route is protected until it is listed
there. A key itself is never logged, and not kept longer than it takes to hash it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import ipaddress
import tomllib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Annotated

import structlog
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from starlette.types import ASGIApp, Receive, Scope, Send

from llava_graph.api_keys import NAME, digest
from service.errors import Unauthorized
from service.middleware.callers import Caller, Limits, anonymous, attach, named
from service.middleware.refusal import refuse
from service.middleware.request_context import record_of
from service.settings import GatewaySettings

_OPEN = frozenset({"/", "/healthz", "/readyz", "/metrics", "/docs", "/openapi.json"})
_OPEN_FOLDERS = ("/page/", "/docs/")

_MAX_HEADER_BYTES = 1024
"""Longer than any key of ours; more is not worth hashing."""

_LOOK_S = 1.0
"""How often the key file is looked at."""

log = structlog.stdlib.get_logger(__name__)


class AccessError(Exception):
    """The gateway must not start like this; the message says why, and what to do."""


class _Entry(BaseModel):
    """One key in a key file."""

    model_config = ConfigDict(extra="forbid", strict=True)

    sha256: Annotated[list[Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]], Field(min_length=1)]
    requests_per_minute: int | None = Field(None, ge=0)
    upload_bytes_per_minute: int | None = Field(None, ge=0)
    concurrent_streams: int | None = Field(None, ge=0)


class _KeyFile(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    keys: dict[Annotated[str, StringConstraints(pattern=f"^{NAME.pattern}$")], _Entry] = {}
    without_keys: bool = False
    """There are none, and that is meant. Never in the same file as keys."""


class KeyRing:
    """The keys that are accepted now. Raises AccessError when they cannot be read at first."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._file = settings.keys_file
        self._inline = settings.keys.get_secret_value() if settings.keys else ""
        self._limits = default_limits(settings)
        self._file_text = self._read()
        self._callers = self._parsed(self._file_text)
        self.without_keys = self._file is not None and _says_without_keys(self._file_text)
        """The key file says so, and has said so from the start."""
        self._trouble = ""

    def __len__(self) -> int:
        return len(self._callers)

    def caller(self, key: bytes) -> Caller | None:
        """The caller that the key belongs to."""
        given = digest(key)
        found = None
        # All of them, always, so that the time taken tells nothing of where a digest differs or which one fits.
        for stored, caller in self._callers.items():
            if hmac.compare_digest(stored, given):
                found = caller
        return found

    async def look_again(self) -> None:
        """Takes over what has changed in the key file; keeps what there was when it cannot be read."""
        try:
            text = await asyncio.to_thread(self._read)
            if text != self._file_text:
                callers = self._parsed(text)
                without_keys = _says_without_keys(text)
                if without_keys and not self.without_keys:
                    raise AccessError(f"{self._file}: without_keys is heeded when the gateway starts, and not later")
                self._callers, self.without_keys, self._file_text = callers, without_keys, text
                log.info("keys_changed", accepted=len(self))
            self._trouble = ""
        except AccessError as error:
            if str(error) != self._trouble:  # said once, not at every look
                log.error("keys_unreadable", detail=str(error), still_accepted=len(self))
            self._trouble = str(error)

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Looks after changes of the key file, if there is one."""
        if self._file is None:
            yield
            return
        if len(self) == 0 and not self.without_keys:
            log.warning("keys_none", detail=f"{self._file} holds no key: every caller is refused until it does")
        watch = asyncio.create_task(self._watch(), name="key-file")
        try:
            yield
        finally:
            watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watch

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_S)
            await self.look_again()

    def _read(self) -> str:
        if self._file is None:
            return ""
        try:
            return self._file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise AccessError(f"{self._file}: {error}") from error

    def _parsed(self, file_text: str) -> dict[str, Caller]:
        sources = ((str(self._file), file_text), ("LLAVA_GRAPH_KEYS", self._inline))
        callers: dict[str, Caller] = {}
        names: set[str] = set()
        for source, text in sources:
            for name, entry in _entries(source, text).items():
                if name in names:
                    raise AccessError(f"{source}: the name {name} stands in the key file, too")
                names.add(name)
                caller = named(name, _limits(entry, self._limits))
                for stored in entry.sha256:
                    if callers.setdefault(stored, caller) is not caller:
                        raise AccessError(f"{source}: {name} has a key that {callers[stored].name} has")
        return callers


def keys_are_asked_for(settings: GatewaySettings, keys: KeyRing) -> bool:
    """Whether callers need a key. Raises AccessError where they need one and no key is configured."""
    if settings.access == "open":
        return False
    if len(keys) > 0 or (settings.keys_file is not None and not keys.without_keys):
        return True
    if settings.access == "keys":
        why = "LLAVA_GRAPH_ACCESS=keys wants a key of every caller, and there are none."
    elif others := [address for address in settings.reached_at if not is_loopback(address)]:
        why = f"On {others[0]} others than this machine can reach the gateway, and there are no keys."
    else:
        return False
    raise AccessError(
        f"{why} Make one with `llava-graph keys new NAME >> keys.toml` and set LLAVA_GRAPH_KEYS_FILE=keys.toml, "
        "or accept every caller with LLAVA_GRAPH_ACCESS=open."
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens there. Names may mean anything."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def default_limits(settings: GatewaySettings) -> Limits:
    """Those of callers without limits of their own."""
    return Limits(settings.requests_per_minute, settings.upload_bytes_per_minute, settings.concurrent_streams)


class Identify:
    """Attaches the caller to a request; refuses a request without a valid key, where `keys` are required."""

    def __init__(self, app: ASGIApp, keys: KeyRing | None, limits: Limits) -> None:
        self._app = app
        self._keys = keys
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or is_open(scope["path"]):
            await self._app(scope, receive, send)
            return
        if self._keys is None or self._keys.without_keys:
            attach(scope, anonymous(scope, self._limits))
            await self._app(scope, receive, send)
            return
        try:
            caller = _identified(scope, self._keys)
        except Unauthorized as refusal:
            await refuse(refusal, scope, receive, send)
            return
        attach(scope, caller)
        record_of(scope).facts["caller"] = caller.name
        with structlog.contextvars.bound_contextvars(caller=caller.name):
            await self._app(scope, receive, send)


def is_open(path: str) -> bool:
    """Whether a path needs no key."""
    return path in _OPEN or path.startswith(_OPEN_FOLDERS)


def _identified(scope: Scope, keys: KeyRing) -> Caller:
    """Raises Unauthorized."""
    given = [value for name, value in scope["headers"] if name == b"authorization"]
    if not given:
        raise Unauthorized("Send a key of this gateway: `Authorization: Bearer …`.")
    if len(given) > 1:
        raise Unauthorized("Send one Authorization header, not several.", wrong_key=True)
    # Bytes all the way: what is no ASCII is simply no key.
    scheme, _, key = given[0].strip().partition(b" ")
    key = key.strip()
    if scheme.lower() != b"bearer" or not key:
        raise Unauthorized("Send the key as `Authorization: Bearer …`.")
    caller = keys.caller(key) if len(key) <= _MAX_HEADER_BYTES else None
    if caller is None:
        raise Unauthorized("This key is not known here, or no longer.", wrong_key=True)
    return caller


def _entries(source: str, text: str) -> Mapping[str, _Entry]:
    """Raises AccessError."""
    try:
        file = _KeyFile.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise AccessError(f"{source}: {error}") from error
    except ValidationError as error:
        # Pydantic's own words would repeat what stands in the file.
        wrong = [f"{'.'.join(str(step) for step in entry['loc'])}: {entry['msg']}" for entry in error.errors()]
        raise AccessError(f"{source}: {'; '.join(wrong)}") from error
    if file.without_keys and file.keys:
        raise AccessError(f"{source}: there are keys, and without_keys says that there are none")
    return file.keys


def _says_without_keys(text: str) -> bool:
    """Of a text that was parsed before."""
    return tomllib.loads(text).get("without_keys") is True


def _limits(entry: _Entry, default: Limits) -> Limits:
    def given(own: int | None, otherwise: int) -> int:
        return otherwise if own is None else own

    return Limits(
        given(entry.requests_per_minute, default.requests_per_minute),
        given(entry.upload_bytes_per_minute, default.upload_bytes_per_minute),
        given(entry.concurrent_streams, default.concurrent_streams),
    )
