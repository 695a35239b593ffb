"""Pauses before a process that died is started again."""

from __future__ import annotations

from llava_graph.restart_pauses import RestartPauses


def test_pause_doubles_with_each_death_up_to_the_longest() -> None:
    pauses = RestartPauses(first_s=0.5, longest_s=3.0)
    assert [pauses.after_death(float(second)) for second in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]
    assert pauses.deaths == 5


def test_deaths_are_forgotten_with_time() -> None:
    pauses = RestartPauses(first_s=0.5, longest_s=8.0, forget_s=10.0)
    assert [pauses.after_death(now_s) for now_s in (0.0, 5.0, 10.0)] == [0.5, 1.0, 2.0]
    assert pauses.after_death(12.0) == 2.0, "the first one is forgotten"
    assert pauses.after_death(100.0) == 0.5
    assert pauses.deaths == 1
