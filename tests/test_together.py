"""Settings that do not go together."""

import pytest

from mixmo_tf.experiments import EvaluationSettings, Settings, SuiteSettings


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"mixing": "none"}, "mixing=none is for num_members=1, got 2 members"),
        ({"mixing": "cow", "num_members": 1}, "mixing must be none for num_members=1, got cow"),
        (
            {"unmixing": "fade", "num_members": 1},
            "unmixing must be none for num_members=1, got",
        ),
        (
            {"schedule": "cosine", "milestones": (9, 12)},
            "milestones are for schedule=steps: with schedule=cosine set --milestones= (none), "
            "got 9,12",
        ),
        ({"label_smoothing": 1}, "label_smoothing must be in [0, 1), got 1"),
        ({"ema_momentum": 1.0}, "ema_momentum must be in [0, 1), got 1"),
        ({"dataset": "mnist"}, "dataset must be one of digits, "),
        (
            {"image_size": 16},
            "image_size is for imagenet2012 or image_folder:PATH or tfds:NAME, got ",
        ),
    ],
)
def test_values_that_do_not_go_together(wrong, message):
    with pytest.raises(ValueError) as error:
        Settings(**wrong)
    assert str(error.value).startswith(message)
    if "dataset" in wrong:
        for settings_class, more in ((EvaluationSettings, {"model": "x"}), (SuiteSettings, {})):
            with pytest.raises(ValueError, match="dataset must be one of digits, "):
                settings_class(**wrong, **more)
