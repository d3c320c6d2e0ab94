"""The scheduler, called without loop, clock or disk."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.nodes.scheduler import (
    Completed,
    Due,
    Fail,
    Failed,
    Halt,
    Job,
    Record,
    Scheduler,
    SendBack,
    Skip,
    Start,
    Stopped,
)


def starts(commands):
    return [command.subtask for command in commands if isinstance(command, Start)]


def test_every_subtask_starts_the_moment_its_last_dependency_has_completed():
    scheduler = Scheduler([Job("a"), Job("b"), Job("c", ("a", "b")), Job("d", ("a",))])
    assert starts(scheduler.begin()) == ["a", "b"]
    assert scheduler.apply(Completed("a")) == [Record("a"), Start("d")]
    assert scheduler.apply(Completed("b")) == [Record("b"), Start("c")]


def test_the_longest_remaining_path_goes_first():
    jobs = [Job("short", weight=1), Job("head", weight=1), Job("tail", ("head",), weight=9), Job("middle", weight=5)]
    scheduler = Scheduler(jobs, workers=1)
    order = starts(scheduler.begin())
    while scheduler.active:
        order += starts(scheduler.apply(Completed(order[-1])))
    assert order == ["head", "tail", "middle", "short"]


def test_priority_beats_path_length_and_ties_keep_the_plans_order():
    scheduler = Scheduler([Job("a"), Job("b"), Job("c", priority=1), Job("d", weight=100)], workers=1)
    order = starts(scheduler.begin())
    while scheduler.active:
        order += starts(scheduler.apply(Completed(order[-1])))
    assert order == ["c", "d", "a", "b"]


def test_a_failure_skips_what_depends_on_it_and_nothing_else():
    scheduler = Scheduler([Job("a"), Job("b"), Job("c", ("a",)), Job("d", ("c",)), Job("e", ("b",))])
    scheduler.begin()
    commands = scheduler.apply(Failed("a", "it broke"))
    assert commands[0] == Fail("a", "it broke")
    assert [(c.subtask, c.reason) for c in commands[1:] if isinstance(c, Skip)] == [
        ("c", "'a', which it depends on, did not complete"),
        ("d", "'c', which it depends on, did not complete"),
    ]
    assert starts(scheduler.apply(Completed("b"))) == ["e"]
    scheduler.apply(Completed("e"))
    assert scheduler.finished


def test_a_failure_is_retried_after_a_growing_wait_until_its_retries_are_used_up():
    scheduler = Scheduler([Job("a", retries=2)])
    scheduler.begin()
    assert scheduler.apply(Failed("a", "x")) == [SendBack("a", "x", 0.5)]
    assert scheduler.active
    assert starts(scheduler.apply(Due("a"))) == ["a"]
    assert scheduler.apply(Failed("a", "x")) == [SendBack("a", "x", 1.0)]
    scheduler.apply(Due("a"))
    assert scheduler.apply(Failed("a", "x")) == [Fail("a", "x")]
    assert not scheduler.active


def test_a_final_failure_is_not_retried():
    scheduler = Scheduler([Job("a", retries=5)])
    scheduler.begin()
    assert scheduler.apply(Failed("a", "bad input", final=True)) == [Fail("a", "bad input")]


def test_after_a_halt_nothing_starts_and_what_lands_is_recorded():
    scheduler = Scheduler([Job("a"), Job("b", ("a",)), Job("c")])
    scheduler.begin()
    assert scheduler.apply(Halt()) == []
    assert scheduler.apply(Completed("a")) == [Record("a")]
    assert scheduler.apply(Stopped("c")) == [SendBack("c")]
    assert not scheduler.active
    assert not scheduler.finished


def test_what_was_recorded_before_is_never_started_again():
    jobs = [Job("a"), Job("b", ("a",)), Job("c", ("b",)), Job("x"), Job("y", ("x",))]
    scheduler = Scheduler(jobs, completed=["a"], dead={"x": "it broke"})
    commands = scheduler.begin()
    assert starts(commands) == ["b"]
    assert [command.subtask for command in commands if isinstance(command, Skip)] == ["y"]


def test_remaining_time_is_the_longest_chain_less_what_has_run():
    scheduler = Scheduler([Job("a", weight=10), Job("b", ("a",), weight=5), Job("c", weight=3)])
    scheduler.begin()
    assert scheduler.remaining() == pytest.approx(15)
    assert scheduler.remaining({"a": 4}) == pytest.approx(11)
    scheduler.apply(Completed("a"))
    assert scheduler.remaining() == pytest.approx(5)


@st.composite
def plans(draw):
    size = draw(st.integers(1, 25))
    jobs = []
    for i in range(size):
        dependencies = draw(st.sets(st.integers(0, i - 1), max_size=3)) if i else set()
        weight = draw(st.floats(0, 100))
        jobs.append(Job(f"t{i}", tuple(f"t{d}" for d in sorted(dependencies)), weight, retries=draw(st.integers(0, 2))))
    return jobs


@settings(max_examples=300, deadline=None)
@given(plans(), st.integers(0, 4), st.integers(0, 2**32))
def test_any_plan_ends_with_every_subtask_settled_and_no_rule_broken(jobs, workers, seed):
    random_ = random.Random(seed)
    scheduler = Scheduler(jobs, workers)
    by_id = {job.id: job for job in jobs}
    running, resting, completed, settled = set(), set(), set(), set()

    def obey(commands):
        for command in commands:
            match command:
                case Start(subtask):
                    assert subtask not in running | resting | settled
                    assert completed.issuperset(by_id[subtask].dependencies)
                    running.add(subtask)
                case Record(subtask):
                    completed.add(subtask)
                    settled.add(subtask)
                case Fail(subtask) | Skip(subtask):
                    assert subtask not in settled
                    settled.add(subtask)
                case SendBack(subtask, error):
                    resting.update({subtask} if error else ())
        assert not workers or len(running) <= workers

    obey(scheduler.begin())
    while scheduler.active:
        if resting and (not running or random_.random() < 0.3):
            subtask = resting.pop()
            obey(scheduler.apply(Due(subtask)))
            continue
        subtask = random_.choice(sorted(running))
        running.discard(subtask)
        event = random_.choice([Completed(subtask), Completed(subtask), Failed(subtask, "x"), Stopped(subtask)])
        if isinstance(event, Stopped):
            obey([*scheduler.apply(event)])
        else:
            obey(scheduler.apply(event))
    assert settled == set(by_id)
    assert scheduler.finished


@settings(max_examples=100, deadline=None)
@given(plans(), st.integers(0, 3), st.integers(0, 2**32))
def test_equal_events_give_equal_commands(jobs, workers, seed):
    def run():
        random_, scheduler, log = random.Random(seed), Scheduler(jobs, workers), []
        log.append(scheduler.begin())
        while scheduler.running:
            log.append(scheduler.apply(Completed(random_.choice(sorted(scheduler.running)))))
        return log

    assert run() == run()
