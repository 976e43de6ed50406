"""The time one call may take."""

import time

from qa_fetch.budget import Budget


def test_a_new_budget_has_all_its_time(monkeypatch):
    """Nothing is spent before the clock moves, and a step gets at most what is left."""
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    budget = Budget(25)
    assert (budget.left(), budget.spent, budget.at_most(10), budget.at_most(60)) == (25, False, 10, 25)


def test_a_budget_runs_down_and_never_below_zero(monkeypatch):
    """Overrun is zero left, not a negative timeout that a socket would refuse."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    budget = Budget(25)
    now[0] += 20
    assert (budget.left(), budget.spent) == (5, False)
    now[0] += 20
    assert (budget.left(), budget.spent, budget.at_most(10)) == (0, True, 0)


def test_a_budget_of_nothing_is_spent_at_once():
    """Zero seconds means: try once, do not wait."""
    assert Budget(0).spent is True


def test_a_message_shows_the_budget_as_people_write_it():
    """No needless decimals."""
    assert [str(Budget(seconds)) for seconds in (25, 25.0, 2.5)] == ["25 s", "25 s", "2.5 s"]
