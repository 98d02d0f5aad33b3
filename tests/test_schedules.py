import numpy as np
import pytest

from mixmo_tf.experiments import Settings, announcement
from mixmo_tf.training import WarmupCosine, WarmupMultiStep


def test_agrees_with_the_reference(reference):
    rules = reference("training_rules")
    learning_rate, warmup, steps_per_epoch = rules["schedule/settings_lr_warmup_steps_per_epoch"]
    per_epoch = int(steps_per_epoch)
    schedule = WarmupMultiStep(learning_rate, warmup, rules["schedule/milestones"], per_epoch)
    steps = np.arange(60)
    np.testing.assert_allclose(
        [schedule(t) for t in steps], rules["schedule/lr_per_step_first_3_epochs"], rtol=1e-6
    )
    firsts, lasts = rules["schedule/first_and_last_lr_of_epoch"].T
    epochs = np.arange(300)
    np.testing.assert_allclose([schedule(e * per_epoch) for e in epochs], firsts, rtol=1e-6)
    # In the warmup, epochs 1 to 3, the reference's "last" is read after the step: our next one.
    last_steps = epochs * per_epoch + per_epoch - 1 + (epochs < 3)
    np.testing.assert_allclose([schedule(t) for t in last_steps], lasts, rtol=1e-6)


def test_the_epochs_of_a_long_run_are_exact():
    schedule = WarmupMultiStep(1.0, 0, [226], 3125)  # CIFAR, 16 images a step
    assert schedule(225 * 3125 - 1) == 1.0
    assert float(schedule(225 * 3125)) == pytest.approx(0.1)


def test_a_cosine_by_hand():
    """Warmup of 4 steps, then eight: 1, …, the half at the fifth, 0 where a ninth would be."""
    schedule = WarmupCosine(2.0, 4, 12)
    rates = [float(schedule(np.int64(step))) for step in range(14)]
    assert rates[:4] == [0.5, 1.0, 1.5, 2.0]
    share = np.arange(8) / 8
    np.testing.assert_allclose(rates[4:12], 1 + np.cos(np.pi * share), atol=1e-6)
    assert rates[4] == 2.0 and rates[8] == pytest.approx(1.0) and rates[12:] == [0.0, 0.0]


def test_a_cosine_without_warmup_and_one_that_never_falls():
    assert [float(WarmupCosine(1.0, 0, 2)(step)) for step in range(3)] == pytest.approx([1, 0.5, 0])
    assert [float(WarmupCosine(1.0, 4, 3)(step)) for step in range(3)] == [0.25, 0.5, 0.75]
    assert float(WarmupCosine(1.0, 5, 937_500)(937_499)) == pytest.approx(
        2.8e-12, rel=0.1, abs=1e-7
    )
    copy = WarmupCosine.from_config(WarmupCosine(1.0, 4, 9).get_config())
    assert (copy.learning_rate, copy.warmup_steps, copy.total_steps) == (1.0, 4, 9)


def test_bad_values_are_named():
    with pytest.raises(ValueError, match="learning_rate must be > 0, got 0"):
        WarmupMultiStep(0, 0, [], 1)
    with pytest.raises(ValueError, match="warmup_steps must be >= 0, got -1"):
        WarmupMultiStep(0.1, -1, [], 1)
    with pytest.raises(ValueError, match="milestones must be >= 1, got 0"):
        WarmupMultiStep(0.1, 0, [0], 1)
    with pytest.raises(ValueError, match="total_steps must be >= 1, got 0"):
        WarmupCosine(0.1, 0, 0)


def test_a_rate_that_never_rises_or_falls_is_said():
    never = "the learning rate falls at the epochs 16, 19, --milestones, but the run has only 6: it"
    (line,) = announcement.doubts(Settings(epochs=6), 600)
    assert line.startswith(never)
    for settings in (
        Settings(epochs=16),  # the last epoch has the lower rate
        Settings(epochs=6, milestones=(6, 19)),
        Settings(epochs=6, milestones=()),
        Settings(epochs=6, schedule="cosine"),
    ):
        assert not announcement.doubts(settings, 600)
    few = Settings(epochs=20, warmup_steps=9, ema_momentum=0.9)
    warmup, averages = announcement.doubts(few, 9)
    assert warmup.startswith("the learning rate rises for 9 steps, --warmup_steps, but the run has")
    assert averages.startswith(
        "the averages of the weights reach back over 10 steps, 1 / (1 - ema_mom"
    )
    assert not announcement.doubts(few, 11)
