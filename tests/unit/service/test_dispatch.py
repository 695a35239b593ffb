"""Which engine gets a request: the one that comes first for its figure, unless it has too much to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.engine.dispatch import Balance, Candidate, choose
from service.engine.rendezvous import ranked

BALANCE = Balance(imbalance=1.5, imbalance_from=4)
NAMES = ["a:8001", "b:8001", "c:8001"]
FIGURES = [f"{number:064x}" for number in range(3000)]

names = st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=8, unique=True)


def candidates(in_flight: Mapping[str, int], **last_chosen: int) -> list[Candidate]:
    return [Candidate(name, many, last_chosen.get(name, 0)) for name, many in in_flight.items()]


@given(st.text(max_size=64), names)
def test_order_of_the_names_makes_no_difference(key: str, given_names: list[str]) -> None:
    assert ranked(key, reversed(given_names)) == ranked(key, given_names)


@given(st.text(max_size=64), names)
def test_when_an_engine_goes_the_order_of_the_others_stays(key: str, given_names: list[str]) -> None:
    gone = given_names[0]
    assert ranked(key, given_names[1:]) == [name for name in ranked(key, given_names) if name != gone]


def test_figures_spread_evenly_over_the_engines() -> None:
    first = Counter(ranked(figure, NAMES)[0] for figure in FIGURES)
    # Of 3000 figures each of three has 1000 on the average, with a standard deviation of 26.
    assert all(abs(first[name] - 1000) < 130 for name in NAMES), first


def test_only_the_share_of_an_engine_that_goes_moves_and_it_spreads_over_the_others() -> None:
    before = {figure: ranked(figure, NAMES)[0] for figure in FIGURES}
    after = {figure: ranked(figure, NAMES[1:])[0] for figure in FIGURES}
    moved = [figure for figure in FIGURES if before[figure] != after[figure]]
    assert {before[figure] for figure in moved} == {NAMES[0]}
    assert min(Counter(after[figure] for figure in moved).values()) > len(moved) / 3


def test_same_figure_goes_to_the_same_engine() -> None:
    chosen = {choose(candidates(dict.fromkeys(NAMES, busy)), FIGURES[0], BALANCE) for busy in range(50)}
    assert chosen == {(ranked(FIGURES[0], NAMES)[0], "affinity")}


def test_few_in_flight_are_no_reason_to_pass_an_engine_over() -> None:
    first, second, third = ranked(FIGURES[0], NAMES)
    assert choose(candidates({first: 3, second: 0, third: 0}), FIGURES[0], BALANCE) == (first, "affinity")
    assert choose(candidates({first: 4, second: 0, third: 0}), FIGURES[0], BALANCE) == (second, "load")


def test_engine_above_its_multiple_of_the_mean_is_passed_over_for_the_next_of_the_figure() -> None:
    first, second, third = ranked(FIGURES[0], NAMES)
    # 29 with the next one, mean 9.67, bound 15.
    assert choose(candidates({first: 14, second: 7, third: 7}), FIGURES[0], BALANCE) == (first, "affinity")
    assert choose(candidates({first: 15, second: 7, third: 7}), FIGURES[0], BALANCE) == (second, "load")


@given(
    st.dictionaries(st.text(min_size=1, max_size=12), st.integers(0, 500), min_size=1, max_size=8),
    st.text(max_size=64),
    st.floats(1, 10),
    st.integers(1, 20),
)
def test_there_is_always_an_engine_and_none_gets_more_than_the_bound(
    in_flight: dict[str, int], figure: str, imbalance: float, imbalance_from: int
) -> None:
    balance = Balance(imbalance, imbalance_from)
    name, _ = choose(candidates(in_flight), figure, balance)
    assert in_flight[name] + 1 <= balance.bound(sum(in_flight.values()), len(in_flight))


@pytest.mark.parametrize(("in_flight", "chosen"), [({"a": 2, "b": 1, "c": 3}, "b"), ({"a": 0, "b": 0, "c": 0}, "c")])
def test_request_without_a_figure_goes_where_least_is_in_flight(in_flight: dict[str, int], chosen: str) -> None:
    assert choose(candidates(in_flight, a=3, b=2, c=1), None, BALANCE) == (chosen, "load")


def test_requests_without_a_figure_take_turns_where_all_are_idle() -> None:
    last = dict.fromkeys(NAMES, 0)
    order = []
    for turn in range(1, 7):
        name, _ = choose([Candidate(name, 0, last[name]) for name in NAMES], None, BALANCE)
        last[name] = turn
        order.append(name)
    assert order == NAMES * 2
