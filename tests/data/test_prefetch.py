import threading

import pytest

from vivace.data.prefetch import Prefetch


def test_results_are_those_of_the_function_in_any_order_of_steps():
    prefetch = Prefetch(lambda step: step * step, steps=10)
    for step in (0, 1, 2, 7, 3, 3, 9, 0):
        assert prefetch(step) == step * step


def test_the_next_step_is_made_ahead_in_one_thread_and_none_beyond_the_last():
    made, threads = [], set()
    second = threading.Event()

    def make(step):
        made.append(step)
        threads.add(threading.get_ident())
        if step == 1:
            second.set()
        return step

    prefetch = Prefetch(make, steps=3)
    assert prefetch(0) == 0
    assert second.wait(10)
    assert [prefetch(1), prefetch(2)] == [1, 2]
    assert made == [0, 1, 2]
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_an_error_is_raised_at_its_own_step():
    def make(step):
        if step == 2:
            raise ValueError("two")
        return step

    prefetch = Prefetch(make, steps=5)
    assert prefetch(1) == 1
    with pytest.raises(ValueError, match="two"):
        prefetch(2)
    assert prefetch(3) == 3
