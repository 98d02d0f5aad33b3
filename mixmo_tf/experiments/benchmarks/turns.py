"""Loops that take turns: their rates change from minute to minute, their ratios do less."""

import statistics
import time
from collections.abc import Callable, Sequence
from typing import TypeAlias

Seconds: TypeAlias = dict[str, list[float]]  # of each turn, by the names of the loops


def take_turns(loops: dict[str, Callable[[], object]], turns: int) -> tuple[Seconds, Seconds]:
    """Seconds and processor seconds of each turn, after one to warm up, by the loops' names."""
    wall, processor = ({name: [] for name in loops} for _ in range(2))
    for turn in range(turns + 1):
        names = list(loops) if turn % 2 else reversed(loops)  # none always follows the same one
        for name in names:
            run_steps = loops[name]
            start, processor_start = time.perf_counter(), time.process_time()
            run_steps()
            if turn > 0:
                wall[name].append(time.perf_counter() - start)
                processor[name].append(time.process_time() - processor_start)
    return wall, processor


def ratio_lines(wall: Seconds, processor: Seconds) -> list[str]:
    """The first loop against each of the others, a list of lines."""
    first, *others = wall
    lines = []
    for what, seconds in (("rows/s", wall), ("rows per processor second", processor)):
        for name in others:
            ratios = [
                theirs / ours for ours, theirs in zip(seconds[first], seconds[name], strict=True)
            ]
            lines.append(f"  {first} / {name:<20} {spread(ratios, '.2f')} in {what}")
    return lines


def spread(values: Sequence[float], form: str) -> str:
    """Median, and in brackets the smallest and the largest."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:{form}} ({low:{form}} … {high:{form}})"
