"""How long training still takes, from how long it has taken so far: seconds, and no clock."""

import statistics
from collections import deque

_FEW = 20  # executions; of fewer the median, as any of them may have waited for something


class Pace:
    """What is left of an epoch and of a run.

    An epoch is its steps, and what comes after the last one: validation, and whatever is written.

    Args:
        epochs: how many there will be.
        steps_per_epoch: 0 where it is not known yet.
        validation_steps: as how many steps what comes after an epoch counts until it has been
            timed.
    """

    def __init__(self, epochs: int, steps_per_epoch: int, validation_steps: float = 0.0):
        self.epochs = epochs
        self.steps_per_epoch = steps_per_epoch
        self.validation_steps = validation_steps
        self._executions = deque()  # the newest: steps, seconds
        self._steps, self._seconds = 0, 0.0  # of these
        self._afters = []  # of each epoch, seconds

    def add_steps(self, steps: int, seconds: float) -> None:
        """Notes how long an execution of `steps` steps took, one that did not compile."""
        self._executions.append((steps, seconds))
        self._steps, self._seconds = self._steps + steps, self._seconds + seconds
        while len(self._executions) > _FEW and self._steps > self.steps_per_epoch:
            steps, seconds = self._executions.popleft()  # others may use the machine by now
            self._steps, self._seconds = self._steps - steps, self._seconds - seconds

    def add_after(self, seconds: float) -> None:
        """Notes how long it took from an epoch's last step to its end."""
        self._afters.append(seconds)

    @property
    def seconds_per_step(self) -> float | None:
        """Of the newest steps, about an epoch of them; None until there is one."""
        if not self._executions:
            return None
        if len(self._executions) < _FEW:
            return statistics.median(seconds / steps for steps, seconds in self._executions)
        return self._seconds / self._steps

    @property
    def has_after(self) -> bool:
        """Whether what comes after an epoch has been timed."""
        return bool(self._afters)

    @property
    def after(self) -> float | None:
        """Seconds from an epoch's last step to its end; the first one's also bought what stays."""
        if self._afters:
            return statistics.median(self._afters[1:] or self._afters)
        rate = self.seconds_per_step
        return None if rate is None else rate * self.validation_steps

    def left_of_epoch(self, step: int, since: float = 0.0) -> float | None:
        """Seconds, or None where nothing is known yet, after `step` steps of the epoch.

        Where all are done, `since` are the seconds that have passed since the last one.
        """
        rate, after = self.seconds_per_step, self.after
        if after is None or (rate is None and step < self.steps_per_epoch):
            return None
        left = self.steps_per_epoch - step
        return left * rate + after if left else max(after - since, 0.0)

    def left_of_run(self, epoch: int, step: int, since: float = 0.0) -> float | None:
        """The same of the run, in its epoch `epoch`, from 0."""
        of_epoch, rate = self.left_of_epoch(step, since), self.seconds_per_step
        others = self.epochs - epoch - 1
        if of_epoch is None or (others and rate is None):
            return None
        if not others:
            return of_epoch
        return of_epoch + others * (self.steps_per_epoch * rate + self.after)
