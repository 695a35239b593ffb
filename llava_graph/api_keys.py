"""API keys: makes them (`llava-graph keys`), and defines what the key file holds of one.

A key is 256 random bits. A gateway stores the key's SHA-256. A slow salted hash, as passwords need, would protect
nothing here: it makes guessing expensive where a guess has a chance, and at 256 bits none has, nor would precomputed
tables. It would only make each request expensive.

This module knows how a key file spells a key, not what a gateway does with the file
(service/middleware/authentication.py).
"""

from __future__ import annotations

import hashlib
import re
import secrets

import click

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
"""What a key's name may be. It stands in log lines, in keys of Redis, and unquoted in TOML."""

_PREFIX = "lg_"
"""Marks a text as a key of LLaVA-Graph, for people and for secret scanners."""


def new_key() -> str:
    """A new random key: letters, digits, `-` and `_`."""
    return _PREFIX + secrets.token_urlsafe(32)


def digest(key: bytes) -> str:
    """What is stored of a key: its SHA-256 as 64 hexadecimal digits."""
    return hashlib.sha256(key).hexdigest()


@click.group()
def main() -> None:
    """Make the keys that callers of a gateway identify themselves with."""


@main.command()
@click.argument("name")
def new(name: str) -> None:
    """Make a key for NAME, and show it this once.

    The lines for the gateway's key file go to standard output, the key itself to standard error:

        llava-graph keys new alice >> keys.toml
    """
    if not NAME.fullmatch(name):
        raise click.ClickException("A name has at most 64 letters, digits, - and _, and begins with no sign.")
    key = new_key()
    click.echo(f'[keys.{name}]\nsha256 = ["{digest(key.encode())}"]')
    click.echo(f"The key of {name}, which nothing can show again: {key}", err=True)
