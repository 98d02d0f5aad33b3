"""Every config parses, says what it is, and describes the network of its paper's cell."""

import math
import pathlib
import sys

import pytest
from absl.testing import flagsaver

from mixmo_tf import data

ROOT = pathlib.Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

import train_flags  # noqa: E402

PARAMETERS = {
    "tinyimagenet": 100_846_992,
    "tinyimagenet_small": 751_504,
    "digits": 702_484,
    "cifar10_small": 702_484,
    "cifar10_wrn2810_cut_mixmo": 36_486_036,
    "cifar100_wrn2810_cut_mixmo": 36_601_416,
}
CONFIGS = sorted((ROOT / "configs").glob("*.flags"))


def info(dataset):
    num_classes = {"cifar100": 100, "tiny_imagenet": 200}.get(dataset, 10)
    names = tuple(map(str, range(num_classes)))
    if dataset == "tiny_imagenet":
        return data.Info(dataset, 100_000, (64, 64, 3), names)
    return data.Info(dataset, 50_000, (32, 32, 3), names)


def test_every_config_is_known():
    assert {config.stem for config in CONFIGS} == set(PARAMETERS)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.stem)
def test_config(config):
    assert f"--flagfile=configs/{config.name}" in config.read_text()  # the command in its header
    flags = train_flags.FLAGS
    with flagsaver.flagsaver():
        flags(["train.py", f"--flagfile={config}"])
        assert flags.output_dir == f"runs/{config.stem}"
        model = train_flags.build_model(info(flags.dataset))
    count = sum(math.prod(v.shape) for v in model.trainable_variables)
    assert count == PARAMETERS[config.stem]


RECIPES = {
    "cifar100_wrn2810_cut_mixmo": {
        "learning_rate": 0.0125, "warmup_steps": 3128, "milestones": [101, 201, 226],
        "steps_per_epoch": 3125, "total_steps": 937_500, "l2": 3e-4,
    },
    "tinyimagenet": {
        "learning_rate": 0.05, "warmup_steps": 4000, "milestones": [600, 900],
        "steps_per_epoch": 4000, "total_steps": 4_800_000, "l2": 5e-5,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", RECIPES)
def test_the_papers_recipe(name):
    flags = train_flags.FLAGS
    with flagsaver.flagsaver():
        flags(["train.py", f"--flagfile={ROOT}/configs/{name}.flags"])
        model = train_flags.build_model(info(flags.dataset))
    expected = dict(RECIPES[name])
    p = model.mixing_probability.get_config()
    assert p == {"probability": 0.5, "total_steps": expected.pop("total_steps")}
    expected |= {
        "mixing": "cutmix", "alpha": 2.0, "weight_root": 3.0, "batch_repetitions": 4,
        "input_repetition": 0.0, "ensemble": "logits", "augmentation": "crop_flip",
    }  # fmt: skip
    rate = model.optimizer.get_config()["learning_rate"]["config"]
    config = {**model.get_config(), **rate}
    assert {name: config[name] for name in expected} == expected
    assert model.optimizer.nesterov and model.optimizer.momentum == 0.9
