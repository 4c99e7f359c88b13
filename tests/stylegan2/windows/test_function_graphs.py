# SPDX-License-Identifier: GPL-3.0-or-later
"""Recorded functions: the same results, their bound, and what is not worth it."""

from __future__ import annotations

import contextlib
import weakref

import pytest
import torch
from torch import Tensor

from stylegan2 import function_graphs
from stylegan2.windows import function_graphs as module
from stylegan2.windows import graph_start, recorded
from stylegan2.windows.function_graphs import FunctionGraphs
from stylegan2.windows.recorded import GraphUse
from tests.tape_recorder import TapeRecorder, tape_recorder

from ..making import random_generator, tiny_config


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> TapeRecorder:
    monkeypatch.setattr(recorded, "ROUNDS", 1)
    return tape_recorder(monkeypatch)


@pytest.fixture
def use(recorder: TapeRecorder) -> GraphUse:
    return GraphUse(recorder, contextlib.nullcontext)


def _double(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    return 2 * x + y, y


def _call(graphs: FunctionGraphs, x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
    return graphs.call("double", _double, [x, y], lambda: [x.flip(0), y - 1])


def test_results_are_those_of_the_function_and_stay(use: GraphUse, recorder: TapeRecorder) -> None:
    graphs, kept = FunctionGraphs(use), []
    for number in range(7):
        x, y = torch.arange(4.0) + number, torch.ones(4)
        assert len(graphs) == (number > 3)
        kept.append((_call(graphs, x, y), _double(x, y)))
    for found, expected in kept:
        assert all(map(torch.equal, found, expected))
    assert recorder.recorded == 1
    # Of other shapes it is another function.
    _call(graphs, torch.ones(3), torch.ones(3))
    assert len(graphs) == 1


def test_the_number_of_recordings_is_bounded(
    use: GraphUse, recorder: TapeRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "COMPUTED_FIRST", 0)
    graphs = FunctionGraphs(use)
    for size in (*range(1, 10), 1):
        for _ in range(2):
            (found, _) = _call(graphs, torch.ones(size), torch.ones(size))
            assert torch.equal(found, torch.full((size,), 3.0))
    assert len(graphs) == module._MOST
    assert recorder.recorded == 10


@pytest.mark.parametrize("fault", ["slow", "full", "fails"])
def test_what_is_not_worth_it_or_fails_is_computed(
    use: GraphUse, recorder: TapeRecorder, fault: str
) -> None:
    recorder.speed_up = 1.0 if fault == "slow" else 2.0
    recorder.has_memory, recorder.fails = fault != "full", fault == "fails"
    graphs = FunctionGraphs(use)
    for _ in range(8):
        (found, _) = _call(graphs, torch.ones(4), torch.ones(4))
        assert torch.equal(found, torch.full((4,), 3.0))
    assert len(graphs) == 0
    assert (use.problem is not None) == (fault == "fails")
    assert recorder.recorded == (fault == "slow")


def test_they_belong_to_the_generator(use: GraphUse, monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, generator = torch.device("cpu"), random_generator(tiny_config()).freeze()
    assert function_graphs(generator, cpu) is None
    monkeypatch.setitem(graph_start._USES, cpu, use)
    graphs = function_graphs(generator, cpu)
    assert graphs is not None and function_graphs(generator, cpu) is graphs
    known = weakref.ref(graphs)
    del generator, graphs
    assert known() is None
    use.end("it failed")
    assert function_graphs(random_generator(tiny_config()).freeze(), cpu) is None
