"""Which devices train together: one, all GPUs of this machine, or those of many machines."""

import contextlib
import functools
import json
import logging
import os
from collections.abc import Callable, Sequence

import tensorflow as tf

from mixmo_tf import arguments

NAMES = ("auto", "one_device", "mirrored", "multi_worker")
_LOG = logging.getLogger(__name__)
_FIRST_PORT, _PORTS = 20_000, 10_000  # for SLURM's jobs, below those that systems hand out
_TASKS = 16  # ports that lie between those of two steps of a job, or of two jobs


def choose(
    name: str = "auto", waiting: Callable = contextlib.nullcontext
) -> tf.distribute.Strategy:
    """The strategy to build and train a model under; to be called before anything is computed.

    Args:
        name: one of `NAMES`. "one_device" is TensorFlow's default device; "mirrored" all GPUs
            of this machine; "multi_worker" all processes that the environment variable
            TF_CONFIG lists, or the tasks of the SLURM job step. "auto" is "multi_worker"
            where one of these is there, else "mirrored" with more than one GPU.
        waiting: function that gives the context in which a multi-worker strategy waits, such as
            `training.signals.by_default`: TensorFlow lets no Python run there.

    Returns:
        tf.distribute.Strategy. A multi-worker one waits until all processes are there.

    Raises:
        ValueError: if "multi_worker" is asked for, and what describes the workers is missing
            or wrong.
    """
    arguments.one_of("strategy", name, NAMES)
    in_slurm = int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)) > 1
    if name == "auto" and ("TF_CONFIG" in os.environ or in_slurm):
        name = "multi_worker"
    elif name == "auto":
        several = len(tf.config.list_physical_devices("GPU")) > 1
        name = "mirrored" if several else "one_device"
    if name == "one_device":
        return tf.distribute.get_strategy()
    if name == "mirrored":
        return mirrored()
    if "TF_CONFIG" not in os.environ:
        if not in_slurm:
            raise ValueError(
                "strategy multi_worker needs TF_CONFIG, or a SLURM job step of several tasks"
            )
        os.environ["TF_CONFIG"] = json.dumps(slurm_config())
    _check(os.environ["TF_CONFIG"])
    _LOG.info("Training waits until all workers of TF_CONFIG are there.")
    with waiting():
        return _multi_worker(os.environ["TF_CONFIG"])


def mirrored(devices: Sequence[str] | None = None) -> tf.distribute.Strategy:
    """The MirroredStrategy of these devices: one in a process, as exchanges of two get mixed up.

    The devices are names such as "/device:GPU:0"; None for all GPUs, or else all logical CPUs.
    """
    if devices is None:
        found = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        devices = [device.name for device in found]
    return _of_devices(tuple(devices))


def slurm_config() -> dict:
    """What TF_CONFIG must be for this task of a SLURM job step; a dict.

    TensorFlow's SlurmClusterResolver sorts the hosts by name, so that n10 comes before n9, as
    SLURM does not; and it fails without GPUs.

    Raises:
        ValueError: if SLURM has not given each node tasks with successive numbers.
    """
    # the parts of SlurmClusterResolver that read SLURM's abbreviations
    from tensorflow.python.distribute.cluster_resolver import slurm_cluster_resolver as slurm

    try:
        hosts = slurm.expand_hostlist(os.environ["SLURM_STEP_NODELIST"])
        counts = slurm.expand_tasks_per_node(os.environ["SLURM_STEP_TASKS_PER_NODE"])
        index = int(os.environ["SLURM_PROCID"])
        step = int(os.environ["SLURM_JOB_ID"]) + int(os.environ.get("SLURM_STEP_ID", 0))
        tasks = [(host, i) for host, count in zip(hosts, counts, strict=True) for i in range(count)]
        here = tasks[index][0], str(tasks[index][1])
        is_here = here == (os.environ["SLURMD_NODENAME"], os.environ["SLURM_LOCALID"])
    except (KeyError, IndexError, ValueError) as error:
        what = f"cannot read SLURM's variables ({error}); set TF_CONFIG by hand"
        raise ValueError(what) from None
    if not is_here:
        raise ValueError("SLURM's tasks must be in blocks: srun --distribution=block")
    first_port = _FIRST_PORT + step * _TASKS % _PORTS
    workers = [f"{host}:{first_port + i}" for host, i in tasks]
    return {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}


@functools.cache
def _of_devices(names):
    return tf.distribute.MirroredStrategy(names)


@functools.cache
def _multi_worker(tf_config):
    return tf.distribute.MultiWorkerMirroredStrategy()


def _check(text):
    """Raises ValueError unless TF_CONFIG describes this worker among others."""
    example = '{"cluster": {"worker": ["host:port", …]}, "task": {"type": "worker", "index": 0}}'
    try:
        config = json.loads(text)
        kind, index = config["task"]["type"], int(config["task"]["index"])
        hosts = config["cluster"][kind]
        if kind not in ("chief", "worker") or not isinstance(hosts, list):
            raise TypeError(kind)
        if not 0 <= index < len(hosts):
            raise IndexError(index)
    except (ValueError, TypeError, KeyError, IndexError):
        raise ValueError(f"TF_CONFIG must be like {example}, got {text}") from None
