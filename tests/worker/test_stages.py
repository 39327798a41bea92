"""Lanes, budget and the line in front of the model, without anything around them."""

import threading
import time

import pytest

from aidetect_worker._stages import Budget, Lane, Line, Ready

Item = tuple[str, bool]


def is_interactive(item: Item) -> bool:
    return item[1]


def test_interactive_ones_go_first_and_else_in_order() -> None:
    line: Line[Item] = Line(is_interactive)
    for item in (("a", False), ("b", True), ("c", False), ("d", True)):
        line.add(item)
    assert line.interactive == 2 and len(line) == 4
    assert [line.take()[0] for _ in range(4)] == ["b", "d", "a", "c"]  # type: ignore[index]
    assert line.take() is None


def test_a_lane_keeps_a_thread_for_interactive_ones() -> None:
    release, done = threading.Event(), threading.Event()

    def work(item: Item) -> None:
        done.set() if item[1] else release.wait(60)

    lane: Lane[Item] = Lane("test", 2, work, is_interactive, reserved=1)
    for number in range(10):
        lane.put((str(number), False))
    time.sleep(0.05)
    lane.put(("person", True))
    try:
        assert done.wait(60), "all threads are held by bulk"
    finally:
        release.set()
        lane.close()


def test_a_budget_makes_wait_and_admits_what_is_too_large_alone() -> None:
    budget = Budget(10)
    budget.take(6)
    assert not budget.try_take(5) and budget.try_take(4)
    admitted = threading.Event()
    threading.Thread(target=lambda: (budget.take(100), admitted.set()), daemon=True).start()
    assert not admitted.wait(0.05)
    budget.give(10)
    assert admitted.wait(60) and budget.used == 100


def test_what_is_large_waits_for_no_more_than_came_before_it() -> None:
    budget = Budget(10)
    budget.take(6)
    order: list[int] = []
    threads = []
    for amount in (8, 2):
        threads.append(threading.Thread(target=lambda n=amount: (budget.take(n), order.append(n))))
        threads[-1].start()
        while len(budget._line) < len(threads):
            time.sleep(0.001)
    assert not budget.try_take(1) and order == []
    budget.give(6)
    for thread in threads:
        thread.join(60)
    assert sorted(order) == [2, 8] and budget.used == 10


@pytest.mark.parametrize(("bulk", "interactive", "size"), [(9, 0, 4), (2, 0, 2), (9, 2, 2), (0, 9, 4)])
def test_a_batch_is_what_is_ready(bulk: int, interactive: int, size: int) -> None:
    ready: Ready[Item] = Ready(4, 0.0, is_interactive)
    for number in range(bulk + interactive):
        ready.add((str(number), number >= bulk))
    batch = ready.take()
    assert len(batch) == size and all(item[1] for item in batch) == bool(interactive)


def test_a_batch_waits_for_what_is_coming_and_no_longer() -> None:
    ready: Ready[Item] = Ready(4, 600, is_interactive)
    ready.expect(2)
    ready.add(("first", False))
    threading.Timer(0.03, ready.add, [("second", False)]).start()
    assert len(ready.take()) == 2, "nothing more was coming"
    ready.max_wait = 0.2
    ready.expect(2)
    ready.add(("third", False))
    started = time.monotonic()
    assert len(ready.take()) == 1 and time.monotonic() - started >= 0.19
    ready.close()
    assert ready.take() == []
