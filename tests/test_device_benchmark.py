"""`benchmark.py device`: what it times, how it counts, and how it reads a GPU's trace."""

import dataclasses
import json
import re
import sys
import time

import keras
import pytest
import shallow_network
import tensorflow as tf
from scripts_at_work import refusal, said_of
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from mixmo_tf import data, networks
from mixmo_tf.experiments.benchmarks import device, device_fit, device_process, idle, loops, matmul
from mixmo_tf.experiments.benchmarks.settings import METHODS, BenchmarkSettings
from mixmo_tf.models.executions import NotFiniteError

CASE = device_fit.Case("wide_resnet_10_1", 8, "float32", "off", 1, "plain")
needs_no_gpu = pytest.mark.skipif(
    bool(tf.config.list_physical_devices("GPU")), reason="says what is said without a GPU"
)


@pytest.fixture
def one_block(monkeypatch):
    """One block in place of a wide_resnet's; its operations are counted as those of all."""

    def build(depth, width, num_members, num_classes, image_shape):
        return shallow_network.build(width, num_members, num_classes, image_shape, filters=4)

    wide_resnet = dataclasses.replace(networks.NETWORKS["wide_resnet"], build=build)
    monkeypatch.setitem(networks.NETWORKS, "wide_resnet", wide_resnet)
    monkeypatch.setattr(device_fit, "_IMAGES", 100)


def run_here(settings, precision, case):
    """What a process of its own would give, as it comes out of JSON."""
    of_settings, *what = json.loads(json.dumps([dataclasses.asdict(settings), precision, case]))
    return json.loads(json.dumps(device_process.measured(BenchmarkSettings(**of_settings), *what)))


@needs_no_gpu
def test_each_fit_has_a_line(one_block, untraced, monkeypatch):
    """One that does not fit into memory says so, and the others are timed."""
    monkeypatch.setattr(device, "_in_process", run_here)
    flags = ["--networks=wide_resnet_10_1", "--row_counts=80000000,8", "--xla=off", "--turns=2"]
    flags += ["--steps_per_execution=1", "--matrix_side=8", "--steps=1"]
    said = said_of("benchmark", "device", *flags, "--precisions=tf32,float32")
    assert "tf32 is left out: this device does not compute in it" in said
    assert "\nTrainings: 6; turns: 2; steps per turn: 1, rounded up to whole executions; " in said
    assert re.search(r"^float32: products of matrices of 8 × 8: [\d.]+ \(.*\) TFLOP/s$", said, re.M)
    lines = re.findall(r"^  wide_resnet_10_1 +(\d+) +off +1 +(\w+) +(.+)$", said, re.M)
    assert [line[:2] for line in lines] == [
        (rows, method) for rows in ("80000000", "8") for method in ("mixmo", "plain", "keras")
    ]
    for _, _, measured in lines[:3]:
        assert re.fullmatch(r"a step would take .* of memory or more, of .*", measured)
    for _, _, measured in lines[3:]:
        assert re.fullmatch(r"[\d.,]+ \(.*\) +\d+\.\d\d +[\d.]+ % +– +-?[\d.]+ +–", measured)


def test_what_is_measured_in_a_process_of_its_own():
    settings = BenchmarkSettings(matrix_side=8, turns=3)
    rates, fault = device._in_process(settings, "float32", None)
    assert fault is None and len(rates) == 3 and min(rates) > 0


def test_a_process_that_fails_leaves_the_others(monkeypatch):
    monkeypatch.setattr(device_process, "__name__", "no_such_module")
    flags = ["--networks=wide_resnet_10_1", "--methods=plain", "--row_counts=4", "--xla=off"]
    said = said_of("benchmark", "device", *flags, "--precisions=float32,mixed_bfloat16")
    fault = f"ended with exit code 1: {sys.executable}: No module named no_such_module\n"
    assert said.count(fault) == 2 * (1 + 2)  # the products, and 1 and 16 steps per execution


def test_what_cannot_be_computed_is_said_in_a_line(monkeypatch):
    def fail(error):
        def time_fit(settings, case):
            raise error

        monkeypatch.setattr(device_process, "time_fit", time_fit)
        return run_here(BenchmarkSettings(), "float32", CASE)

    of_graph = "Graph execution error:\n\nDetected at node x\n\nno such kernel\n\t [[{{node x}}]]"
    of_graph += " [Op:__inference_step_7]"
    for error, said in (
        (tf.errors.ResourceExhaustedError(None, None, "OOM when allocating"), "out of memory"),
        (tf.errors.InternalError(None, None, of_graph), "no such kernel"),
        (NotFiniteError("the loss became NaN"), "the loss became NaN"),
        (ValueError("too large"), "too large"),
    ):
        assert fail(error) == [None, said]


@pytest.mark.parametrize("precision", matmul.DTYPES)
def test_only_tf32_multiplies_tensor_float_32(precision):
    is_on = tf.config.experimental.tensor_float_32_execution_enabled
    before = is_on()
    try:
        device_process.measured(BenchmarkSettings(matrix_side=2, turns=1), precision, None)
        assert is_on() == (precision == "tf32")
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("precision", "xla", "dtype"),
    [("tf32", "on", "float32"), ("mixed_bfloat16", "off", "bfloat16")],
)
def test_a_case_is_what_is_timed(method, precision, xla, dtype, one_block, monkeypatch):
    """The model that `fit` gets, and all that is made of the seconds of its turns."""
    found = {}

    def fit(model, batches, steps, turns, is_traced):
        found.update(model=model, batches=batches, steps=steps, turns=turns)
        return [9.0, 2.0, 1.0, 4.0], None

    monkeypatch.setattr(device_fit, "_fit", fit)
    case = device_fit.Case("wide_resnet_10_1", 8, precision, xla, 3, method)
    timing = device_fit.time_fit(BenchmarkSettings(turns=3, steps=4, batch_repetitions=2), case)
    model, of_mixmo = found["model"], method == "mixmo"
    assert (found["steps"], found["turns"], model.steps_per_execution) == (6, 3, 3)
    assert (model.jit_compile if method == "keras" else model.uses_xla) == (xla == "on")
    convolutions = [x for x in model._flatten_layers() if isinstance(x, keras.layers.Conv2D)]
    assert [each.compute_dtype for each in convolutions] == [dtype] * (2 if of_mixmo else 1)
    images, _ = next(iter(found["batches"]))
    assert images.shape == (4 if of_mixmo else 8, 32, 32, 3)  # b = 2
    assert timing.rows_per_second == [24.0, 48.0, 12.0]
    assert timing.start == 7.0
    by_hand = 32**2 * 9 * (3 * 16 * (1 + of_mixmo) + 2 * 16 * 16 + 16 * 32)  # the first group
    by_hand += 16**2 * (16 * 32 + 9 * (32 * 32 + 32 * 64)) + 8**2 * (32 * 64 + 9 * 64 * 64)
    by_hand += 64 * 10 * (1 + of_mixmo)
    assert timing.operations_per_second == pytest.approx(3 * 2 * by_hand * 24.0, rel=1e-9)


def test_the_cells_of_a_line():
    timing = device_fit.Timing([10.0, 30.0, 20.0], 2e12, 3.5, 2**31, 0.25)
    cells = ("20.0 (10.0 … 30.0)", "2.00", "25.0 %", "25.0 %", "3.5", "2.0")
    assert device._cells(timing, 8e12) == cells
    assert device._cells(timing, None)[2] == "–"


def check_epochs():
    """Without a GPU a trace says nothing, and what was timed before it stays."""
    model = loops.compiled_mixmo(shallow_network.build(1, 1, 3, (8, 8, 3), filters=4), 1)
    batches = data.training_batches(loops.random_examples(20, (8, 8, 3), 3), 4, seed=0)
    for is_traced in (False, True):
        start = time.perf_counter()
        seconds, idle_share = device_fit._fit(model, batches, 2, 3, is_traced)
        assert len(seconds) == 4 and 0 < sum(seconds) < time.perf_counter() - start
        if not tf.config.list_physical_devices("GPU"):
            assert idle_share is None
    assert int(model.step.numpy()) == 2 * (4 + 5)


def test_epochs_are_timed_and_the_last_one_traced(untraced):
    check_epochs()


def test_a_trace_that_fails_leaves_what_was_timed(untraced):
    folder = idle.start()  # so that another cannot begin
    try:
        check_epochs()
    finally:
        idle.stop(folder)


def test_all_that_is_named_is_timed():
    found = device_fit.cases(BenchmarkSettings(), "tf32")
    assert len(found) == len(set(found)) == 2 * 3 * 3 * 2 * 2
    assert {case.precision for case in found} == {"tf32"}
    assert [case.method for case in found[:3]] == ["mixmo", "plain", "keras"]
    twice = BenchmarkSettings(row_counts=[8, 4, 8], methods=["plain", "plain"])
    assert len(device_fit.cases(twice, "tf32")) == 2 * 2 * 2 * 2  # networks, rows, XLA, executions
    for name in ("networks", "methods", "row_counts", "precisions", "xla", "steps_per_execution"):
        assert refusal("benchmark", "device", f"--{name}=").endswith(
            f"{name} must have a value, got none"
        )


def test_rows_are_multiples_of_b_where_it_is_used():
    b = "--batch_repetitions=3"
    for wrong in (["train", "--rows=64"], ["device", "--row_counts=6,64"]):
        assert refusal("benchmark", *wrong, b).endswith("rows must be a multiple of b, got 64")
    few = ["--networks=wide_resnet_10_1", "--row_counts=80000000", "--precisions=tf32"]
    if not tf.config.list_physical_devices("GPU"):
        said_of("benchmark", "device", *few, "--methods=plain", b)  # nothing is left to be timed


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
