"""The benchmarks' own arithmetic: schedules worked out by hand, graphs that a seed repeats, and what the table says."""

from __future__ import annotations

import pytest
from benchmarks import dag, ideal, run, workloads
from benchmarks.dag import Node
from benchmarks.race import Line
from benchmarks.table import FIGURES, Figure, Row, markdown, ratio

# Two short ones come first in the plan; behind `head` waits a long one.
LATE = [Node("short", (), 1), Node("other", (), 1), Node("head", (), 1), Node("tail", ("head",), 4)]
# With a second worker the order no longer matters before t = 2, when `c` and `d` become ready together.
TIED = [Node("a", (), 2), Node("b", (), 2), Node("c", ("a",), 1), Node("d", ("b",), 1), Node("e", ("d",), 3)]


def test_without_a_worker_limit_the_ideal_makespan_is_the_critical_path():
    assert ideal.makespan(LATE) == dag.critical_path(LATE) == 5
    assert ideal.makespan(TIED) == dag.critical_path(TIED) == 6


def test_one_worker_takes_the_sum_of_all_in_either_order():
    assert ideal.makespan(LATE, 1) == ideal.makespan(LATE, 1, longest_first=False) == 7


def test_the_longest_remaining_path_goes_first_and_first_come_order_pays_for_it():
    assert ideal.makespan(LATE, 2) == 5  # head and short, then tail beside other
    assert ideal.makespan(LATE, 2, longest_first=False) == 6  # short and other, then head, then tail


def test_subtasks_that_end_at_one_moment_end_before_anything_starts():
    assert ideal.makespan(TIED, 2) == 6  # at t = 2 both c and d are ready
    assert ideal.makespan(TIED, 1) == 9


def test_no_schedule_is_shorter_than_its_bound(seed):
    for size in (1, 7, 40):
        nodes = dag.layered(size, seed, width=5)
        for workers in (0, 1, 3):
            for longest_first in (True, False):
                makespan = ideal.makespan(nodes, workers, longest_first=longest_first)
                assert makespan >= dag.lower_bound(nodes, workers) - 1e-9


def test_an_empty_graph_takes_no_time():
    assert ideal.makespan([], 3) == 0 == dag.critical_path([])


def test_a_seed_always_gives_the_same_graph():
    assert dag.layered(60, seed=5, width=8) == dag.layered(60, seed=5, width=8)
    assert dag.layered(60, seed=5, width=8) != dag.layered(60, seed=6, width=8)
    assert dag.layered(6, seed=1, width=2) == [
        Node("n0", (), 0.1028),
        Node("n1", (), 0.0383),
        Node("n2", ("n0", "n1"), 0.0384),
        Node("n3", ("n0", "n1"), 0.1228),
        Node("n4", ("n0", "n1"), 0.06),
        Node("n5", ("n1",), 0.053),
    ]


def test_a_graph_lists_every_subtask_after_what_it_needs(seed):
    nodes = dag.layered(200, seed, width=14)
    known: set[str] = set()
    for node in nodes:
        assert known.issuperset(node.needs)
        assert len(node.needs) <= 3
        assert dag.SHORTEST <= node.seconds <= dag.LONGEST
        known.add(node.id)
    assert len(known) == 200


def test_a_saved_graph_is_the_same_when_loaded(tmp_path):
    nodes = dag.layered(30, seed=2, width=4)
    dag.save(nodes, tmp_path / "graph")
    assert dag.load(tmp_path / "graph") == nodes


def test_a_wrong_input_breaks_the_hash_chain():
    first, second = dag.chain(2)
    right = dag.result(first, {})
    assert dag.result(second, {"n0": right})["proof"] == dag.proofs([first, second])["n1"]
    assert dag.result(second, {"n0": {"proof": "of something else"}})["proof"] != dag.proofs([first, second])["n1"]


def test_a_crash_is_charged_with_what_had_ended_and_ran_again():
    nodes = [Node("used"), Node("unused"), Node("kept"), Node("user", ("used",))]
    before = [Line(0, "R"), *(Line(1, "S", n.id) for n in nodes), *(Line(2, "E", n.id) for n in nodes[:3])]
    after = [Line(5, "R"), Line(5.1, "S", "used"), Line(5.1, "S", "unused"), Line(5.5, "S", "user")]
    assert workloads.lost(nodes, before, after) == {"again_used": 1, "again_other": 1, "first_start": 0.5}


def test_a_ratio_compares_what_ran_in_the_same_repetition():
    figure = Figure("noop100", "cpu", "")
    rows = [Row("noop100", "holdfast", rep, {"cpu": cpu}) for rep, cpu in ((1, 1.0), (2, 9.0), (3, 2.0))]
    rows += [Row("noop100", "langgraph_func", rep, {"cpu": cpu}) for rep, cpu in ((1, 2.0), (2, 18.0))]
    assert ratio(rows, figure, "langgraph_func") == 0.5
    assert ratio(rows, figure, "asyncio_sqlite") is None


def test_the_table_shows_medians_limits_and_failures():
    rows = [Row("help", "holdfast", rep, {"seconds": value}) for rep, value in ((1, 0.1), (2, 0.2), (3, 9.0))]
    rows.append(Row("noop100", "langgraph_send", 1, {}, "wrong results"))
    text = markdown(rows)
    assert "| `holdfast --help`, s | 0.20 | – | – | – | – | – | – | ≤ 0.3 | yes |" in text
    assert "langgraph_send on noop100, repetition 1: wrong results" in text


def test_every_line_of_the_table_has_a_workload():
    assert {figure.workload for figure in FIGURES} == {workload.name for workload in workloads.WORKLOADS}


def test_writing_results_leaves_the_words_round_them_alone(tmp_path):
    file = tmp_path / "RESULTS.md"
    file.write_text(f"before\n{run.BEGIN}\nold\n{run.END}\nafter\n", "utf-8")
    run.write(file, "new")
    assert file.read_text("utf-8") == f"before\n{run.BEGIN}\nnew\n{run.END}\nafter\n"
    file.write_text("no marks", "utf-8")
    with pytest.raises(SystemExit, match="has no lines"):
        run.write(file, "new")
    assert file.read_text("utf-8") == "no marks"
