"""What stands in for preact_resnet18: its encoders, and a core of one batch norm and ReLU."""

import dataclasses
import pathlib

from mixmo_tf import networks
from mixmo_tf.experiments import history_picture, recipe, suite_runs
from mixmo_tf.networks import layers, parts
from mixmo_tf.training import members_log, mixing_sheet

SCRIPTS = pathlib.Path(__file__).parent / "shallow_scripts"
_MODELS = {}  # of keep_models, by what they were made of
_OF_FILES = {"output_dir": None, "checkpoint_steps": None, "extend": False}  # not of the model


def build(width, num_members, num_classes, image_shape, filters):
    def encoder(member, image):
        return layers.conv(filters, 3, 2, "symmetric", name=f"encoder_{member}")(image)

    def core(x):
        return layers.norm_relu(x, f"{parts.BLOCK.format(1, 0)}_norm_1")

    name = f"preact_resnet18_{width}"
    return networks.build(name, encoder, core, num_members, num_classes, image_shape, "he_normal")


def stand_in(monkeypatch, draws=False):
    """Settings that say preact_resnet18 mean `build`, here and in the runs of `reproduce`.

    Drawing takes such a run a fifth of its time: unless it `draws`, Matplotlib is left out.
    """
    record = dataclasses.replace(networks.NETWORKS["preact_resnet18"], build=build)
    monkeypatch.setitem(networks.NETWORKS, "preact_resnet18", record)
    # a second of each run; test_training_pictures draws them
    monkeypatch.setattr(mixing_sheet, "sheets", lambda *of_run: {})
    if not draws:
        monkeypatch.setattr(history_picture, "draw", lambda path: None)
        monkeypatch.setattr(members_log.MembersLog, "_may_draw", lambda self, epoch: False)
    folder = suite_runs._folder
    monkeypatch.setattr(
        suite_runs, "_folder", lambda name: SCRIPTS if name == "scripts" else folder(name)
    )


def keep_models(monkeypatch):
    """Commands of this process whose models are to be the same get one, which is traced once.

    Each finds it as it was made, in all that `Trainer.state` knows of it; so does one that goes on
    with a run, which takes its state from a checkpoint as it does in a process of its own.
    """

    def build_model(settings, info):
        key = repr((dataclasses.replace(settings, **_OF_FILES), info))
        if key not in _MODELS:
            model = build(settings, info)
            _MODELS[key] = model, model.state()
        model, state = _MODELS[key]
        model.set_state(state)
        model.has_warned = False
        return model

    build = recipe.build_model
    monkeypatch.setattr(recipe, "build_model", build_model)
