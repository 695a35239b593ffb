"""Whose a stored figure is, and what its id depends on. On real Redis; bounds are tested through the gateway."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from service.errors import FigureUnknown
from service.figures.decode import EncodedFigure
from service.figures.store import FigureStore, stored_id_of
from service.metrics import Metrics

FIGURE = EncodedFigure("ab" * 32, 640, 480, b"\x89PNG, as far as the store cares")


@pytest.fixture
def store(redis: Redis) -> FigureStore:
    return _store(redis, "lg:")


def _store(redis: Redis, prefix: str) -> FigureStore:
    return FigureStore(redis, prefix, Metrics(CollectorRegistry()), ttl_s=100, max_bytes=100_000, deadline_s=5)


def test_id_depends_on_whose_figure_it_is_on_its_pixels_and_on_its_caption() -> None:
    parts = [("me", "ab", "c"), ("me", "ab", ""), ("me", "a", "bc"), ("mea", "b", "c"), ("", "meab", "c")]
    assert len({stored_id_of(*each) for each in parts}) == len(parts)
    assert stored_id_of("me", "ab", "c") == stored_id_of("me", "ab", "c")


async def test_figure_comes_back_as_it_was(store: FigureStore) -> None:
    kept = await store.keep(FIGURE, "Größe\x00 über Zeit.", scope="me")
    stored = await store.load(kept.stored_id, scope="me")
    assert stored.figure == FIGURE
    assert stored.about == await store.about(kept.stored_id, scope="me")
    assert (stored.about.figure_id, stored.about.caption) == (FIGURE.figure_id, "Größe\x00 über Zeit.")


async def test_same_figure_is_another_one_for_somebody_else(store: FigureStore) -> None:
    mine = await store.keep(FIGURE, "A caption.", scope="me")
    theirs = await store.keep(FIGURE, "A caption.", scope="they")
    assert (mine.new, theirs.new) == (True, True)
    assert mine.stored_id != theirs.stored_id


async def test_figure_is_unknown_to_all_but_its_owner(store: FigureStore) -> None:
    mine = await store.keep(FIGURE, "A caption.", scope="me")
    for scope in ("they", ""):
        for use in (store.about, store.load, store.forget):
            with pytest.raises(FigureUnknown):
                await use(mine.stored_id, scope=scope)
    assert (await store.load(mine.stored_id, scope="me")).figure == FIGURE


async def test_prefix_keeps_two_installations_apart(redis: Redis, store: FigureStore) -> None:
    other = _store(redis, "other:")
    kept = await store.keep(FIGURE, "A caption.", scope="me")
    with pytest.raises(FigureUnknown):
        await other.load(kept.stored_id, scope="me")


async def test_index_that_was_lost_is_begun_anew(redis: Redis, store: FigureStore) -> None:
    """As on a Redis that evicts keys without a time to live, too."""
    await store.keep(FIGURE, "One.", scope="me")
    await redis.delete("lg:figures:1:used")
    kept = await store.keep(FIGURE, "Two.", scope="me")
    sizes = await redis.hgetall("lg:figures:1:sizes")
    assert set(sizes) == {b"total", kept.stored_id.encode()}
    assert sizes[b"total"] == sizes[kept.stored_id.encode()]
