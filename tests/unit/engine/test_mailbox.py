"""The mailbox: nothing is lost between a caller's thread and the worker, and no ring either."""

from __future__ import annotations

import threading
import time
from collections import defaultdict

from rerank_plugins.engine.mailbox import Mailbox


def test_letters_of_eight_threads_all_arrive_in_each_threads_order() -> None:
    mailbox: Mailbox[tuple[int, int]] = Mailbox()
    arrived: dict[int, list[int]] = defaultdict(list)
    n_threads, n_letters = 8, 2_000

    def write(name: int) -> None:
        for number in range(n_letters):
            mailbox.put((name, number))

    threads = [threading.Thread(target=write, args=(name,)) for name in range(n_threads)]
    for thread in threads:
        thread.start()
    n_arrived = 0
    while n_arrived < n_threads * n_letters:
        assert mailbox.wait(30.0), f"nobody rang for the rest; {n_arrived} arrived"
        for name, number in mailbox.take():
            arrived[name].append(number)
            n_arrived += 1
    for thread in threads:
        thread.join()
    assert dict(arrived) == {name: list(range(n_letters)) for name in range(n_threads)}
    assert len(mailbox) == 0


def test_a_ring_before_the_wait_is_not_lost_and_counts_once() -> None:
    mailbox: Mailbox[str] = Mailbox()
    assert not mailbox.wait(0.0)
    mailbox.put("a")
    mailbox.put("b")
    mailbox.notify()
    assert mailbox.wait(0.0)
    assert not mailbox.wait(0.0), "three rings that nobody waited for wake once"
    assert list(mailbox.take()) == ["a", "b"]


def test_a_ring_wakes_whoever_waits_without_a_letter() -> None:
    """So a worker is told to end."""
    mailbox: Mailbox[str] = Mailbox()
    woken: list[bool] = []
    thread = threading.Thread(target=lambda: woken.append(mailbox.wait(30.0)))
    thread.start()
    started = time.monotonic()
    mailbox.notify()
    thread.join(30.0)
    assert woken == [True]
    assert time.monotonic() - started < 20.0
    assert mailbox.items() == []


def test_waits_of_any_length() -> None:
    mailbox: Mailbox[str] = Mailbox()
    assert not mailbox.wait(-1.0)
    started = time.monotonic()
    assert not mailbox.wait(0.05)
    assert time.monotonic() - started >= 0.04
    mailbox.notify()
    assert mailbox.wait(1e300), "longer than the system can count"


def test_a_letter_is_never_nowhere() -> None:
    """Whoever takes it may fail before it is anywhere else: then the next one finds it."""
    mailbox: Mailbox[str] = Mailbox()
    for item in "abc":
        mailbox.put(item)
    taking = mailbox.take()
    assert next(taking) == "a"
    assert mailbox.items() == ["a", "b", "c"]
    assert next(taking) == "b"
    assert mailbox.items() == ["b", "c"]
    taking.close()
    assert list(mailbox.take()) == ["b", "c"]


def test_letters_that_are_put_while_others_are_taken_are_taken_too() -> None:
    mailbox: Mailbox[int] = Mailbox()
    mailbox.put(0)
    seen = []
    for number in mailbox.take():
        seen.append(number)
        if number < 5:
            mailbox.put(number + 1)
    assert seen == list(range(6))


def test_void_letters_are_dropped_up_to_the_first_that_is_not() -> None:
    mailbox: Mailbox[int] = Mailbox()
    for number in (1, 3, 4, 5):
        mailbox.put(number)
    mailbox.drop_while(lambda number: number % 2 == 1)
    assert mailbox.items() == [4, 5]
    mailbox.drop_while(lambda _: True)
    assert len(mailbox) == 0
