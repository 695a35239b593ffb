"""When an engine is up and when it is down, by successes and failures in a row."""

from __future__ import annotations

import pytest

from service.engine.health import Health


def known(rise: int = 2, fall: int = 3) -> Health:
    """An engine that is up."""
    health = Health(rise, fall)
    assert health.succeeded()
    return health


def test_engine_that_was_never_heard_of_is_down_until_its_first_success() -> None:
    health = Health(rise=2, fall=3)
    assert not health.up
    assert health.succeeded()
    assert health.up


def test_engine_is_down_after_so_many_failures_in_a_row() -> None:
    health = known()
    assert [health.failed() for _ in range(3)] == [False, False, True]
    assert not health.up


def test_success_between_failures_begins_the_count_anew() -> None:
    health = known()
    for _ in range(10):
        assert not health.failed()
        assert not health.failed()
        assert not health.succeeded()
    assert health.up


def test_refused_connection_brings_an_engine_down_at_once() -> None:
    health = known()
    assert health.failed(refused=True)
    assert not health.up


def test_engine_that_was_down_is_up_after_so_many_successes_in_a_row() -> None:
    health = known()
    health.failed(refused=True)
    assert [health.succeeded(), health.failed(), health.succeeded(), health.succeeded()] == [False, False, False, True]
    assert health.up


@pytest.mark.parametrize("refused", [False, True])
def test_engine_that_failed_before_it_ever_answered_has_to_rise_as_others_do(refused: bool) -> None:
    health = Health(rise=2, fall=3)
    assert not health.failed(refused=refused)  # it is down only since it was not heard of
    assert [health.succeeded(), health.succeeded()] == [False, True]
