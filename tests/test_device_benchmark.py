"""`benchmark.py device`: what it times, how it counts, and how it reads a GPU's trace."""

import dataclasses
import re
import sys

import keras
import numpy as np
import pytest
import shallow_network
import tensorflow as tf
from scripts_at_work import ending_of, refusal, said_of
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from mixmo_tf import networks
from mixmo_tf.experiments.benchmarks import device_fit, device_table, idle, loops, matmul
from mixmo_tf.experiments.benchmarks.settings import BenchmarkSettings


@pytest.fixture
def one_block(monkeypatch):
    """One block in place of a wide_resnet's; its operations are counted as those of all."""

    def build(depth, width, num_members, num_classes, image_shape):
        return shallow_network.build(width, num_members, num_classes, image_shape, filters=4)

    wide_resnet = dataclasses.replace(networks.NETWORKS["wide_resnet"], build=build)
    monkeypatch.setitem(networks.NETWORKS, "wide_resnet", wide_resnet)
    monkeypatch.setattr(device_fit, "_IMAGES", 100)


def test_each_fit_has_a_line(one_block, untraced):
    """One that does not fit into memory says so, and the others are timed."""
    settings = BenchmarkSettings(
        networks=["wide_resnet_10_1"], row_counts=[80_000_000, 8], xla=["off"],
        steps_per_execution=[1], matrix_side=8, turns=2, steps=1,
    )  # fmt: skip
    rate, _, *lines = device_table.lines(settings, "float32")
    assert re.fullmatch(r"float32: products of matrices of 8 × 8 at [\d.]+ \(.*\) TFLOP/s", rate)
    found = [re.match(r"  wide_resnet_10_1 +(\d+) +off +1 +(\w+) +(.+)$", line) for line in lines]
    assert [match.groups()[:2] for match in found] == [
        (rows, method) for rows in ("80000000", "8") for method in ("mixmo", "plain", "keras")
    ]
    measured = r"[\d.,]+ \(.*\) +\d+\.\d\d +[\d.]+ % +– +-?[\d.]+ +–"
    for match in found[:3]:
        assert re.fullmatch(r"a step would take .* of memory or more, of .*", match[3])
    for match in found[3:]:
        assert re.fullmatch(measured, match[3])


def test_each_precision_has_a_process(monkeypatch):
    """Where one ends too early, the others are measured all the same."""
    flags = ["--networks=wide_resnet_10_1", "--methods=plain", "--row_counts=4", "--xla=off"]
    flags += ["--steps_per_execution=1", "--matrix_side=8", "--turns=1", "--steps=1"]
    said = said_of("benchmark", "device", *flags, "--precisions=tf32,float32")
    assert "tf32 is left out: this device does not compute in it" in said
    assert "\n1 trainings, 1 turns of 1 steps" in said
    assert "\nfloat32: products of matrices of 8 × 8 at " in said
    assert re.search(r"^  wide_resnet_10_1 +4 +off +1 +plain +[\d.]+ \(", said, re.M)
    monkeypatch.setattr(device_table, "__name__", "no_such_module")
    ending, _ = ending_of("benchmark", "device", *flags, "--precisions=float32,mixed_bfloat16")
    fault = f"ended with exit code 1: {sys.executable}: No module named no_such_module"
    assert ending == f"benchmark.py: float32 {fault}; mixed_bfloat16 {fault}"


@pytest.mark.parametrize("precision", matmul.DTYPES)
def test_only_tf32_multiplies_tensor_float_32(precision):
    is_on = tf.config.experimental.tensor_float_32_execution_enabled
    before = is_on()
    settings = BenchmarkSettings(matrix_side=2, turns=1)
    try:
        next(device_table.lines(settings, precision))
        assert is_on() == (precision == "tf32")
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)


def test_operations_are_three_times_those_of_a_forward_pass(one_block, untraced):
    settings = BenchmarkSettings(turns=3, steps=2)
    case = device_fit.Case("wide_resnet_10_1", 8, "float32", "off", 1, "plain")
    timing = device_fit.time_fit(settings, case)
    assert len(timing.rows_per_second) == 3
    of_row = timing.operations_per_second / np.median(timing.rows_per_second)
    by_hand = 32**2 * 9 * (3 * 16 + 2 * 16 * 16 + 16 * 32)  # to where the second group halves
    by_hand += 16**2 * (16 * 32 + 9 * (32 * 32 + 32 * 64)) + 8**2 * (32 * 64 + 9 * 64 * 64)
    by_hand += 64 * 10
    assert of_row == pytest.approx(3 * 2 * by_hand, rel=1e-9)


def test_a_turn_is_of_whole_executions(one_block, monkeypatch, untraced):
    steps = []
    fit = device_fit._fit

    def noted(model, batches, num_steps, turns, is_traced):
        steps.append((num_steps, model.steps_per_execution))
        return fit(model, batches, num_steps, turns, is_traced)

    monkeypatch.setattr(device_fit, "_fit", noted)
    settings = BenchmarkSettings(turns=1, steps=4)
    for method in ("mixmo", "keras"):
        case = device_fit.Case("wide_resnet_10_1", 8, "float32", "off", 3, method)
        device_fit.time_fit(settings, case)
    assert steps == [(6, 3)] * 2


def test_all_that_is_named_is_timed():
    settings = BenchmarkSettings()
    found = device_fit.cases(settings, "tf32")
    assert len(found) == len(set(found)) == 2 * 3 * 3 * 2 * 2
    assert {case.precision for case in found} == {"tf32"}
    assert [case.method for case in found[:3]] == ["mixmo", "plain", "keras"]
    with pytest.raises(ValueError, match="row_counts must be multiples of b, got 6"):
        BenchmarkSettings(row_counts=[64, 6])
    assert BenchmarkSettings(row_counts=[6], methods=["plain"]).row_counts == (6,)
    for name in ("networks", "methods", "row_counts", "precisions", "xla", "steps_per_execution"):
        assert refusal("benchmark", "device", f"--{name}=").endswith(
            f"{name} must have a value, got none"
        )


def test_float16_of_keras_has_a_scaled_loss():
    """Which Keras would add by itself only where the whole model is of that precision."""
    for precision, is_scaled in (("mixed_bfloat16", False), ("mixed_float16", True)):
        network = shallow_network.build(1, 1, 3, (8, 8, 3), filters=4)
        networks.set_precision(network, precision)
        model = loops.compiled_keras(network)
        assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer) == is_scaled
        dtypes = {layer.compute_dtype for layer in model.layers if layer.name.startswith("encoder")}
        assert dtypes == {precision.removeprefix("mixed_")}


def test_a_product_is_two_operations_for_each_pair_of_numbers(monkeypatch):
    """Of a turn of two seconds, whatever it really took."""

    def two_seconds(loops, turns):
        for multiply in loops.values():
            multiply()
        return {name: [2.0] * turns for name in loops}, None

    monkeypatch.setattr(matmul, "take_turns", two_seconds)
    of_a_turn = matmul._PRODUCTS * 64 * 64 * (64 + 64)
    assert matmul.rates("mixed_bfloat16", 64, turns=3) == [of_a_turn / 2] * 3


def test_idle_is_what_no_stream_fills():
    """Two streams that overlap, and gaps of 100 and 300 of 1,000 picoseconds."""
    space = xplane_pb2.XSpace()
    since_1970 = 1_800_000_000 * 10**9  # nanoseconds; as picoseconds, more than int64 holds
    add = space.planes.add
    gpu, other, host = (add(name=name) for name in ("/device:GPU:0", "/device:GPU:1", "/host:CPU"))
    for plane, name, spans in (
        (gpu, "Stream #7(Kernel)", [(0, 400), (100, 50)]),
        (gpu, "Stream #9(Kernel,MemcpyH2D)", [(200, 200), (500, 200), (1000, 0)]),
        (gpu, "XLA Modules", [(0, 5000)]),
        (other, "Stream #7(Kernel)", [(0, 5000)]),
        (host, "Stream #7(Kernel)", [(0, 5000)]),
    ):
        line = plane.lines.add(name=name, timestamp_ns=since_1970)
        for offset, duration in spans:
            line.events.add(offset_ps=offset, duration_ps=duration)
    assert idle.idle_share(space) == pytest.approx(0.4)


def test_a_trace_without_a_gpu_says_nothing_of_one():
    folder = idle.start()
    tf.linalg.matmul(tf.ones([8, 8]), tf.ones([8, 8])).numpy()
    space = idle.stop(folder)
    assert space.planes  # the host's
    if not tf.config.list_physical_devices("GPU"):
        assert idle.idle_share(space) is None
