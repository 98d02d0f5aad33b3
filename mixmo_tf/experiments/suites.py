"""Which configs belong together: the columns of the paper's tables, and two small ones."""

TITLES = {
    "plain": "Plain",
    "mixup": "Mixup",
    "cutmix": "CutMix",
    "deep_ensemble": "Deep Ensemble ×2",
    "mimo": "MIMO",
    "linear_mixmo": "Linear-MixMo",
    "cut_mixmo": "Cut-MixMo",
    "cow_mixmo": "Cow-MixMo",
    "patchup_mixmo": "PatchUp-MixMo",
    "fmix_mixmo": "FMix-MixMo",
    "concat_mixmo": "Concat-MixMo",
    "linear_mixmo_cutmix": "Linear-MixMo + CutMix",
    "cut_mixmo_cutmix": "Cut-MixMo + CutMix",
    "cut_mixmo_cutmix_ensemble": "Cut-MixMo + CutMix, ×3",
    "unmixing": "Cut-MixMo + unmixing",
    "cutmix_today": "CutMix, today",
    "cut_mixmo_today": "Cut-MixMo, today",
    "unmixing_today": "Cut-MixMo + unmixing, today",
}
METHODS = {  # by suite: prefix of the configs' names, and what follows it
    "digits": ("digits", "plain cutmix mimo linear_mixmo cut_mixmo cow_mixmo"),
    "cifar10_small": (
        "cifar10_small",
        "cutmix cut_mixmo unmixing cutmix_today cut_mixmo_today unmixing_today",
    ),
    "cifar10": (
        "cifar10_wrn2810",
        "plain mixup cutmix deep_ensemble mimo linear_mixmo cut_mixmo linear_mixmo_cutmix "
        "cut_mixmo_cutmix",
    ),
    "cifar100": (
        "cifar100_wrn2810",
        "plain mixup cutmix deep_ensemble mimo linear_mixmo cut_mixmo linear_mixmo_cutmix "
        "cut_mixmo_cutmix cut_mixmo_cutmix_ensemble",
    ),
    "cifar100_blocks": (
        "cifar100_wrn2810_b2",
        "cut_mixmo cow_mixmo patchup_mixmo fmix_mixmo concat_mixmo",
    ),
    "tinyimagenet_width1": ("tinyimagenet_width1", "plain mixup cutmix linear_mixmo cut_mixmo"),
    "tinyimagenet_width2": ("tinyimagenet_width2", "plain linear_mixmo cut_mixmo"),
    "tinyimagenet_width3": (
        "tinyimagenet_width3",
        "plain cutmix deep_ensemble mimo linear_mixmo cut_mixmo",
    ),
    "imagenet_resnet18": ("imagenet_resnet18", "plain mimo cut_mixmo"),
    "imagenet_resnet50": ("imagenet_resnet50", "plain mimo cut_mixmo"),
}
OTHER_NAMES = {
    "digits_cut_mixmo": "digits",
    "cifar10_small_cut_mixmo": "cifar10_small",
    "cifar10_small_cut_mixmo_today": "cifar10_small_today",
    "tinyimagenet_width3_cut_mixmo": "tinyimagenet",
}
NAMES = tuple(METHODS)


def config(suite: str, method: str) -> str:
    """The name of the config of a method in a suite."""
    name = f"{METHODS[suite][0]}_{method}"
    return OTHER_NAMES.get(name, name)


def configs(suite: str) -> dict[str, str]:
    """The names of the suite's configs by the titles of their methods."""
    return {TITLES[method]: config(suite, method) for method in METHODS[suite][1].split()}
