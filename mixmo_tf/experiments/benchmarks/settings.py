"""The settings of the benchmarks."""

import dataclasses

from mixmo_tf.experiments.benchmarks import matmul
from mixmo_tf.experiments.fields import setting
from mixmo_tf.experiments.of_flags import OfFlags

SCALING = {  # of `scaling`, beside float32: how a loop differs from it
    "xla": {"jit_compile": True},
    "bfloat16": {"precision": "mixed_bfloat16"},
    "bfloat16_xla": {"precision": "mixed_bfloat16", "jit_compile": True},
    "16_steps_per_execution": {"steps_per_execution": 16},
    "two_replicas": {},
}
DEVICE_NETWORKS = {  # of `device`: the name in NETWORKS, its sizes, shape of an image, classes
    "wide_resnet_10_1": ("wide_resnet", {"depth": 10, "width": 1}, (32, 32, 3), 10),
    "wide_resnet_28_2": ("wide_resnet", {"depth": 28, "width": 2}, (32, 32, 3), 10),
    "wide_resnet_28_10": ("wide_resnet", {"depth": 28, "width": 10}, (32, 32, 3), 100),
    "preact_resnet18_1": ("preact_resnet18", {"width": 1, "filters": 64}, (64, 64, 3), 200),
    "preact_resnet18_3": ("preact_resnet18", {"width": 3, "filters": 64}, (64, 64, 3), 200),
}
METHODS = "mixmo", "plain", "keras"  # of `device`


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchmarkSettings(OfFlags):
    """The flags of benchmark.py.

    Raises:
        ValueError: if a value is out of bounds, or missing.
    """

    settings: tuple[str, ...] = setting(
        tuple(SCALING), "What `scaling` compares with float32.", choices=SCALING, repeated=True
    )
    batch_size: tuple[int, ...] = setting(
        (1, 256),
        "Images per batch of `inference`; several with commas, or by giving the flag several "
        "times.",
        bounds=(1, None),
        unit="whole numbers",
        repeated=True,
    )
    model: str | None = setting(
        None,
        "What `inference` times, in each format: a run's folder or a .keras file, which is "
        "folded, or a file that export.py wrote, as it is; if not set, wide_resnets.",
    )
    threads: tuple[int, ...] = setting(
        (),
        "Numbers of threads that a --model computes with, separated by commas; 1 if not set.",
        bounds=(1, 256),
        unit="whole numbers",
    )
    depth: int = setting(28, "Depth of the wide_resnet.", bounds=(10, None))
    width: int = setting(2, "Width of the wide_resnet.", bounds=(1, None))
    rows: int = setting(64, "Rows per step of all loops.", bounds=(1, None))
    batch_repetitions: int = setting(
        4, "b of MixMo, which takes rows / b images per step.", bounds=(1, None)
    )
    steps: int = setting(
        8, "Steps of one turn; `device` takes whole executions, so maybe more.", bounds=(1, None)
    )
    images: int = setting(
        20_000, "Number of JPEGs in the folder, of 64×64 pixels each.", bounds=(100, None)
    )
    jit_compile: bool = setting(
        False, "Whether XLA compiles all loops; `scaling` and `device` compare both."
    )
    networks: tuple[str, ...] = setting(
        ("wide_resnet_28_10", "preact_resnet18_3"),
        "Networks of `device`, separated by commas.",
        choices=DEVICE_NETWORKS,
    )
    methods: tuple[str, ...] = setting(
        METHODS,
        "What `device` trains: MixMo with M = 2, the same with M = 1, or the core by Keras' own "
        "`fit`; separated by commas.",
        choices=METHODS,
    )
    row_counts: tuple[int, ...] = setting(
        (64, 256, 1024),
        "Rows per step of `device`, separated by commas.",
        bounds=(1, None),
        unit="whole numbers",
    )
    precisions: tuple[str, ...] = setting(
        tuple(matmul.DTYPES),
        "What `device` computes in, separated by commas; tf32 is float32 whose factors "
        "are rounded to 19 bits.",
        choices=matmul.DTYPES,
    )
    xla: tuple[str, ...] = setting(
        ("off", "on"),
        "Whether XLA compiles the steps of `device`; both, separated by a comma.",
        choices=("off", "on"),
    )
    steps_per_execution: tuple[int, ...] = setting(
        (1, 16),
        "Steps per execution of `device`, separated by commas.",
        bounds=(1, None),
        unit="whole numbers",
    )
    matrix_side: int | None = setting(
        None,
        "Side of the matrices whose products `device` times; if not set, 8192 on a GPU, 1024 on a "
        "CPU.",
        bounds=(1, 2**15),
    )
    today: bool = setting(
        False, "In `train`, also time MixMo with all parts of a modern training recipe."
    )
    turns: int = setting(9, "Number of turns of each loop, after one to warm up.", bounds=(1, None))

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in (
            "networks",
            "methods",
            "row_counts",
            "precisions",
            "xla",
            "steps_per_execution",
        ):
            if not getattr(self, name):
                raise ValueError(f"{name} must have a value, got none")
        if not self.batch_size:
            raise ValueError("batch_size must be there, got none")
        if self.threads and not self.model:
            raise ValueError("threads are for a --model")
