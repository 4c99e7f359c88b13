# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows from the command line, and what their results depend on."""

from __future__ import annotations

import pytest

from engine.errors import RequestError
from tools.bench.process import ROOT
from tools.bench.rows import ROWS, Row, parse_row
from tools.bench.sources import essence, fingerprint, sources_of


def test_a_row_s_options_have_the_types_of_the_defaults() -> None:
    row = parse_row("wide: r1=4, num_layers=8, latent_space=w, step_size=1e-2")
    assert row.name == "wide"
    assert row.options == {"r1": 4.0, "num_layers": 8, "latent_space": "w", "step_size": 0.01}
    options = row.drag_options(120)
    assert (options.num_layers, options.max_steps) == (8, 120)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mine:step_size", "'step_size' has no ="),
        (":r1=3", "needs a name"),
        ("mine:num_layers=many", "invalid literal"),
    ],
)
def test_a_row_that_cannot_be_read_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_row(text)


def test_options_that_no_drag_has_and_values_out_of_range_are_refused() -> None:
    with pytest.raises(RequestError, match="row mine: a drag has no option 'speed'"):
        parse_row("mine:speed=2").key(300)
    with pytest.raises(RequestError, match="step_size must be above 0"):
        parse_row("mine:step_size=-1").key(300)


def test_results_depend_on_options_and_limits_and_not_on_names() -> None:
    assert Row("a", options={"r1": 4.0}).key(300) == Row("b", options={"r1": 4.0}).key(300)
    assert Row("a", options={"r1": 4.0}).key(300) != Row("a", options={"r1": 5.0}).key(300)
    assert Row("a").key(300) != Row("a").key(200)
    assert len({row.key(300) for row in ROWS.values()}) == len(ROWS)


def test_a_method_s_code_is_what_the_drag_imports() -> None:
    names = {path.relative_to(ROOT).as_posix() for path in sources_of("engine.solving.drag")}
    assert {
        "engine/solving/drag.py",
        "engine/solving/methods/adam.py",
        "stylegan2/network/layers.py",
    } <= names
    assert not {"engine/serving/server.py", "tools/bench/reference.py"} & names
    assert fingerprint("engine.solving.drag") != fingerprint("tools.bench.reference")


def test_comments_docstrings_and_layout_are_not_code() -> None:
    code = 'def f(x):\n    """Twice."""\n    return 2 * x  # doubled\n'
    assert essence(code) == essence("def f(x):\n    return (2 *\n        x)\n")
    assert essence(code) != essence(code.replace("2", "3"))
