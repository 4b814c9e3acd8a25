"""The thread context fits its limit."""

from __future__ import annotations

from handlers.threads.thread_context import GAP, fit_lines


def test_the_context_fits_and_keeps_the_first_and_last_lines() -> None:
    lines = ["first line", *(f"line {n}" for n in range(1000)), "last line"]
    fitted = fit_lines(lines, 500).splitlines()
    assert (fitted[0], fitted[1], fitted[-1]) == ("first line", GAP, "last line")
    assert sum(map(len, fitted)) < 520
    assert fit_lines(["only"], 500) == "only"
    assert fit_lines([], 500) == ""
    assert fit_lines(["a", "b"], 500) == "a\nb"
