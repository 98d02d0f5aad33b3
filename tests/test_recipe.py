"""The settings of a config reach the model and its optimizer."""

import inspect

from test_configs import CONFIGS, info

from mixmo_tf.experiments import Settings, recipe
from mixmo_tf.models.mixmo import MixMo


def test_the_flags_reach_the_model_and_its_optimizer():
    config = CONFIGS["cifar100_wrn2810_cut_mixmo_cutmix"]
    settings = Settings.from_flagfile(config, depth=10, width=1)
    model = recipe.build_model(settings, info("cifar100"))
    p = model.mixing_probability.get_config()
    assert p == {"probability": 0.5, "total_steps": 937_500}
    expected = {
        "mixing": "cutmix", "alpha": 2.0, "weight_root": 3.0, "batch_repetitions": 4,
        "input_repetition": 0.0, "msda": "cutmix", "ensemble": "logits", "l2": 3e-4,
        "augmentation": "crop_flip", "learning_rate": 0.0125, "warmup_steps": 3128,
        "milestones": [101, 201, 226], "steps_per_epoch": 3125,
    }  # fmt: skip
    config = {**model.get_config(), **model.optimizer.get_config()["learning_rate"]["config"]}
    assert {name: config[name] for name in expected} == expected
    assert model.optimizer.nesterov and model.optimizer.momentum == 0.9


def test_the_recipe_of_today_reaches_the_model_and_its_optimizer():
    settings = Settings.from_flagfile(
        CONFIGS["cifar100_wrn2810_cut_mixmo_today"], depth=10, width=1
    )
    model = recipe.build_model(settings, info("cifar100"))
    config = model.optimizer.get_config()
    assert config["use_ema"] and config["ema_momentum"] == 0.999975
    assert config["ema_overwrite_frequency"] is None
    rate = {"learning_rate": 0.0125, "warmup_steps": 3128, "total_steps": 937_500}
    assert config["learning_rate"]["class_name"] == "WarmupCosine"
    assert config["learning_rate"]["config"] == rate
    expected = {"trivial_augment": True, "random_erasing": 0.1, "label_smoothing": 0.1}
    assert {name: getattr(model, name) for name in expected} == expected
    copy = MixMo.from_config(model.get_config())
    assert {name: getattr(copy, name) for name in expected} == expected


def test_each_argument_of_the_method_is_a_setting_of_its_name():
    said = {
        "mixing": "cow", "mixing_probability": 0.25, "alpha": 0.5, "weight_root": 2.0,
        "batch_repetitions": 3, "input_repetition": 0.5, "msda": "mixup", "l2": 0.125,
        "ensemble": "probabilities", "augmentation": "flip", "seed": 7, "unmixing": "full",
        "trivial_augment": True, "random_erasing": 0.25, "label_smoothing": 0.125,
    }  # fmt: skip
    model = recipe.build_model(Settings(width=1, filters=4, **said), info("digits"))
    arguments = set(inspect.getfullargspec(MixMo.__init__).kwonlyargs)
    assert arguments == said.keys() | {"mean", "std", "class_names"}  # of the images
    assert model.mixing_probability.probability == said.pop("mixing_probability")
    assert {name: getattr(model, name) for name in said} == said


def test_the_fade_of_unmixing_lasts_a_third_of_the_steps():
    model = recipe.build_model(
        Settings(filters=4, unmixing="fade", epochs=6, milestones=[5]), info("digits")
    )
    steps = 6 * (info("digits").num_examples // 16)
    assert model.unmixing.get_config() == {"total_steps": steps}
    assert recipe.build_model(Settings(filters=4), info("digits")).unmixing is None
