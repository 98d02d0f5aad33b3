"""Every config parses, says what it is, and describes the network of its paper's cell."""

import dataclasses
import functools
import math
import pathlib
import re

import pytest

from mixmo_tf import data
from mixmo_tf.experiments import Settings, flagfiles, recipe, suites

ROOT = pathlib.Path(__file__).parent.parent
CONFIGS = {config.stem: config for config in sorted((ROOT / "configs").glob("*.flags"))}
ENSEMBLES = [stem for stem in CONFIGS if "ensemble" in stem]
RUNS = [stem for stem in CONFIGS if stem not in ENSEMBLES]
WRN_28_10 = {  # trainable parameters, by classes and members
    (10, 1): 36_479_194,
    (10, 2): 36_486_036,
    (100, 1): 36_536_884,
    (100, 2): 36_601_416,
}
PREACT_RESNET18 = {  # with 64 filters and 200 classes, by width and members
    (1, 1): 11_268_616,
    (1, 2): 11_372_944,
    (2, 1): 44_784_648,
    (2, 2): 44_991_376,
    (3, 1): 100_537_864,
    (3, 2): 100_846_992,
}
RESNET = {  # of ImageNet, by network and members
    ("resnet18", 1): 11_689_512,
    ("resnet18", 2): 11_689_512 + 7 * 7 * 3 * 64 + 513 * 1000,  # and an encoder and a head
    ("resnet50", 1): 25_557_032,
    ("resnet50", 2): 25_557_032 + 7 * 7 * 3 * 64 + 2049 * 1000,
}
SMALL = {"tinyimagenet_small": 751_504, "cifar10_small": 702_484, "digits": 702_484}
PLAIN = {"num_members": 1, "msda": "none", "mixing": None}
MIXMO = {"num_members": 2, "msda": "none", "alpha": 2.0, "weight_root": 3.0}
METHODS = {
    "plain": PLAIN,
    "mixup": PLAIN | {"msda": "mixup"},
    "cutmix": PLAIN | {"msda": "cutmix"},
    "mimo": MIXMO | {"mixing": "linear", "alpha": 0.0, "weight_root": 1.0},
    "linear_mixmo": MIXMO | {"mixing": "linear"},
    "cut_mixmo": MIXMO | {"mixing": "cutmix", "mixing_probability": 0.5},
    "linear_mixmo_cutmix": MIXMO | {"mixing": "linear", "msda": "cutmix"},
    "cow_mixmo": MIXMO | {"mixing": "cow", "mixing_probability": 0.5},
    "patchup_mixmo": MIXMO | {"mixing": "patchup", "mixing_probability": 0.5},
    "fmix_mixmo": MIXMO | {"mixing": "fmix", "mixing_probability": 0.5},
    "concat_mixmo": MIXMO | {"mixing": "horizontal_concat", "mixing_probability": 0.5},
    "cut_mixmo_cutmix": MIXMO | {"mixing": "cutmix", "mixing_probability": 0.5, "msda": "cutmix"},
}


def parse(stem):
    """The settings of a config, by name."""
    return dataclasses.asdict(Settings.from_flagfile(CONFIGS[stem]))


def info(dataset):
    num_classes = {"cifar100": 100, "tiny_imagenet": 200, "imagenet2012": 1000}.get(dataset, 10)
    names = tuple(map(str, range(num_classes)))
    if dataset == "tiny_imagenet":
        return data.Info(dataset, 100_000, (64, 64, 3), names)
    if dataset == "imagenet2012":
        return data.Info(dataset, 1_281_167, (224, 224, 3), names)
    if dataset == "digits":
        return data.Info(dataset, 1_437, (32, 32, 3), names)
    return data.Info(dataset, 50_000, (32, 32, 3), names)


@functools.cache
def parameters(network, depth, width, filters, num_members, dataset):
    """Trainable parameters of a network that is built and forgotten."""
    settings = Settings(
        network=network, depth=depth, width=width, filters=filters, num_members=num_members
    )
    built = recipe.build_network(settings, info(dataset))
    return sum(math.prod(variable.shape) for variable in built.trainable_variables)


@pytest.mark.parametrize("stem", RUNS)
def test_network(stem, quick_weights):
    flags = parse(stem)
    assert flags["output_dir"] == f"runs/{stem}"
    names = "network", "depth", "width", "filters", "num_members", "dataset"
    count = parameters(*(flags[name] for name in names))
    if "wrn2810" in stem:
        assert count == WRN_28_10[info(flags["dataset"]).num_classes, flags["num_members"]]
    elif stem.startswith("imagenet"):
        assert count == RESNET[flags["network"], flags["num_members"]]
    elif flags["filters"] == 64:
        assert count == PREACT_RESNET18[flags["width"], flags["num_members"]]
    elif flags["num_members"] == 1:
        assert count == SMALL["digits"] - 27 * 16 - 128 * 10 - 10  # an encoder and a head less
    else:
        assert count == SMALL.get(stem, SMALL["digits"])


@pytest.mark.parametrize("stem", CONFIGS)
def test_header(stem):
    """Its command, and the rows it costs."""
    text = CONFIGS[stem].read_text(encoding="utf-8")
    script = "evaluate.py" if stem in ENSEMBLES else "train.py"
    assert f"# Command: python scripts/{script} --flagfile=configs/{stem}.flags\n" in text
    if stem in ENSEMBLES or "_small" in stem or stem == "digits":
        return
    flags = parse(stem)
    steps = info(flags["dataset"]).num_examples // flags["batch_size"]
    rows = flags["batch_size"] * flags["batch_repetitions"]
    epochs = flags["epochs"]
    total = f"{epochs * steps * rows:,} rows"
    assert f"# Cost: {epochs:,} epochs × {steps:,} steps × {rows} rows = {total}" in text


def test_families_are_what_configs_share():
    """No config says again what its family says, and none is included by one file alone."""
    folder = ROOT / "configs/families"
    families = {f"families/{file.name}": 0 for file in folder.iterdir()}
    for file in (*CONFIGS.values(), *folder.iterdir()):
        lines = file.read_text(encoding="utf-8").splitlines()
        for included in [line for line in lines if line.startswith("--flagfile=")]:
            path = file.parent / included.partition("=")[2]
            families[f"families/{path.name}"] += 1
            said = flagfiles.in_place([f"--flagfile={path}"])
            assert not set(said) & set(lines), file
            assert not [line for line in said if "--output_dir" in line], file
    assert len(families) == 14 and min(families.values()) > 1


PAPER_CELLS = [
    (suite, method)
    for suite in suites.NAMES[2:]
    for method in suites.METHODS[suite][1].split()
    if method in METHODS
]


@pytest.mark.parametrize("suite, method", PAPER_CELLS)
def test_the_papers_recipe(suite, method):
    stem = suites.config(suite, method)
    flags = parse(stem)
    is_plain, on_imagenet = flags["num_members"] == 1, suite.startswith("imagenet")
    b = 1 if is_plain else 2 if on_imagenet or suite == "cifar100_blocks" else 4
    expected = METHODS[method] | {
        "batch_repetitions": b, "augmentation": "crop_flip", "input_repetition": 0.0,
        "ensemble": "logits", "augmix": False, "validation_examples": 0,
    }  # fmt: skip
    if suite.startswith("tinyimagenet"):
        expected |= {
            "dataset": "tiny_imagenet", "network": "preact_resnet18", "width": int(suite[-1]),
            "filters": 64, "epochs": 1200, "batch_size": 100 // b, "learning_rate": 0.2 / b,
            "warmup_steps": 1000 * b, "milestones": (600, 900), "l2": 5e-5,
        }  # fmt: skip
    elif on_imagenet:
        expected |= {
            "dataset": "imagenet2012", "network": suite.split("_")[1], "epochs": 150,
            "augmentation": "flip", "input_repetition": 0.0 if is_plain else 0.6,
            "batch_size": 256 // b, "learning_rate": 0.1, "warmup_steps": 5 * (1281167 * b // 256),
            "milestones": (50, 100, 133), "l2": 1e-4,
        }  # fmt: skip
    else:
        expected |= {
            "dataset": suite.split("_")[0], "network": "wide_resnet", "depth": 28, "width": 10,
            "epochs": 300, "batch_size": 64 // b, "learning_rate": 0.05 / b,
            "warmup_steps": 782 * b, "milestones": (101, 201, 226), "l2": 3e-4,
        }  # fmt: skip
    assert {name: flags[name] for name in expected} == expected
    text = CONFIGS[stem].read_text(encoding="utf-8")
    assert f"{suites.TITLES[method].replace('Plain', 'plain network')}" in text


TODAY = {  # the config that each differs from
    f"{stem}_today": stem
    for stem in (
        "cifar10_small", "cifar10_small_cutmix", "cifar10_small_unmixing",
        "cifar10_wrn2810_plain", "cifar10_wrn2810_cut_mixmo",
        "cifar100_wrn2810_plain", "cifar100_wrn2810_cut_mixmo",
    )
}  # fmt: skip


@pytest.mark.parametrize("stem", TODAY)
def test_a_recipe_of_today_differs_in_its_parts_alone(stem):
    theirs, ours = parse(TODAY[stem]), parse(stem)
    differ = {name: ours[name] for name in ours if ours[name] != theirs[name]}
    assert differ.pop("output_dir") == f"runs/{stem}"
    momentum = differ.pop("ema_momentum")
    assert differ == {
        "schedule": "cosine", "milestones": (), "label_smoothing": 0.1,
        "trivial_augment": True, "random_erasing": 0.1,
    }  # fmt: skip
    steps = ours["epochs"] * (50_000 // ours["batch_size"])
    text = CONFIGS[stem].read_text(encoding="utf-8")
    assert f"# The averages reach over {round(1 / (1 - momentum)):,} steps" in text
    assert 1 / (1 - momentum) < steps / 10
    figure = {"cifar10": "97.6", "cifar100": "84.5"}[ours["dataset"]]
    assert "small" in stem or f"reports {figure} % for" in text


@pytest.mark.parametrize("suite, method", PAPER_CELLS)
def test_configs_of_one_suite_differ_in_their_method_alone(suite, method):
    """From Cut-MixMo in the method; a plain network also in what follows from b."""
    theirs, ours = (parse(suites.config(suite, name)) for name in ("cut_mixmo", method))
    differ = {name for name in ours if ours[name] != theirs[name]} - {"output_dir"}
    method_flags = {"mixing", "mixing_probability", "alpha", "weight_root", "msda"}
    of_repetition = {"num_members", "batch_repetitions", "batch_size", "learning_rate"}
    of_repetition |= {"warmup_steps", "input_repetition"}
    assert differ <= method_flags | (of_repetition if ours["num_members"] == 1 else set())


@pytest.mark.parametrize("stem", [name for name in RUNS if name.startswith("digits_")])
def test_configs_on_digits_cost_the_same(stem):
    ours, theirs = parse(stem), parse("digits")
    rows = [flags["epochs"] * (1437 // flags["batch_size"]) * 64 for flags in (ours, theirs)]
    assert rows[0] == pytest.approx(rows[1], rel=0.015)
    for flags in (ours, theirs):
        assert flags["batch_size"] * flags["batch_repetitions"] == 64
    differ = {name for name in ours if ours[name] != theirs[name]} - {"output_dir"}
    method_flags = {"mixing", "alpha", "weight_root", "msda"}
    of_repetition = {"num_members", "batch_repetitions", "batch_size", "epochs", "milestones"}
    assert differ <= method_flags | (of_repetition if ours["num_members"] == 1 else set())


@pytest.mark.parametrize("stem", ENSEMBLES)
def test_deep_ensembles_are_lists_of_runs(stem):
    text = CONFIGS[stem].read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    (models,) = [line.removeprefix("--model=").split(",") for line in lines if "--model" in line]
    assert f"--output_dir=runs/{stem}" in lines
    config = re.search(r"train.py --flagfile=configs/(\w+).flags --seed=SEED", text)[1]
    assert config in CONFIGS
    assert models == [f"runs/{config}_seed{i}" for i in range(len(models))]
    assert len(models) == (3 if stem.endswith("cutmix_ensemble") else 2)


PAPER = {  # top-1, % of every cell, written down from the paper's tables; None: it gives none
    "cifar100": (81.63, 83.43, 84.05, 83.17, 83.06, 82.96, 85.40, 85.36, 85.77, 86.81),
    "cifar10": (96.34, 97.07, 97.23, 96.67, 96.74, 96.88, 97.51, 97.73, 97.83),
    "cifar100_blocks": (84.38, 84.17, 84.16, 83.76, 82.78),
    "tinyimagenet_width1": (62.75, None, None, 62.91, 64.32),
    "tinyimagenet_width2": (64.91, 67.03, 69.12),
    "tinyimagenet_width3": (65.78, 68.95, 68.38, 68.48, 68.36, 70.24),
    "imagenet_resnet18": (None, None, None),
    "imagenet_resnet50": (None, None, None),
}


@pytest.mark.parametrize("suite", PAPER)
def test_every_cell_says_the_papers_accuracy(suite):
    stems = list(suites.configs(suite).values())
    assert len(stems) == len(PAPER[suite])
    for stem, accuracy in zip(stems, PAPER[suite], strict=True):
        text = CONFIGS[stem].read_text(encoding="utf-8")
        assert (f": {accuracy:.2f} % top-1." if accuracy else "no accuracy") in text, stem


def test_every_config_is_in_a_suite():
    in_suites = {stem for suite in suites.NAMES for stem in suites.configs(suite).values()}
    others = {"tinyimagenet_small", *(stem for stem in TODAY if "small" not in stem)}
    assert in_suites == set(CONFIGS) - others


def test_the_small_ones_train_on_as_many_rows():
    """Beside each other they differ in the method alone, and in how rows make up an epoch."""
    small = {stem: parse(stem) for stem in suites.configs("cifar10_small").values()}
    assert len(small) == 6
    for stem, settings in small.items():
        assert settings["epochs"] * settings["batch_repetitions"] == 24, stem
    method = {"epochs", "batch_repetitions", "milestones", "num_members", "msda", "unmixing"}
    for recipe_of in ("", "_today"):
        theirs = small[f"cifar10_small{recipe_of}"]
        for name in ("cutmix", "unmixing"):
            ours = small[f"cifar10_small_{name}{recipe_of}"]
            differ = {key for key in ours if ours[key] != theirs[key]}
            assert differ <= {*method, "output_dir"}, differ
