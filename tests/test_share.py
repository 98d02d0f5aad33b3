"""export.py --share: Keras reads it as from the hub, and it does not tell of the machine."""

import json
import types

import keras
import numpy as np
import pytest
from keras.src.saving import saving_lib
from scripts_at_work import assert_refused, said_of
from small_models import tiny_model

import mixmo_tf
from mixmo_tf.deployment import FoldedModel, fold
from mixmo_tf.experiments import ExportSettings, origin, share

OF_KERAS = {"config.json", "metadata.json", "model.weights.h5"}
FILES = {"README.md", "class_names.txt", "metrics.json", "model.json", *OF_KERAS}


def test_a_run_is_shared_and_loaded_as_from_the_hub(finished, tmp_path, monkeypatch):
    path, _, _ = finished
    folder = tmp_path / "shared" / "small-digits"
    said = said_of("export", f"--model={path}", f"--share={folder}", "--check_images=20")
    assert f"Wrote {folder}, folded: uint8 images (n, 32, 32, 3) in; 10 class names" in said
    assert "the model" in said and "what is shared" in said
    assert said.endswith(f"hf upload USER/small-digits {folder}\n")
    assert {file.name for file in folder.iterdir()} == FILES

    images, _, _ = mixmo_tf.data.load_arrays("digits", "test")
    expected = mixmo_tf.load(path).predict(images, verbose=0)
    hub = types.SimpleNamespace(snapshot_download=lambda **_: str(folder))
    monkeypatch.setattr(saving_lib, "huggingface_hub", hub)
    for model in (mixmo_tf.load(folder), keras.saving.load_model("hf://USER/small-digits")):
        assert isinstance(model, FoldedModel) and model.class_names == tuple("0123456789")
        np.testing.assert_allclose(model.predict(images, verbose=0), expected, atol=1e-5)

    metrics = json.loads((path / "metrics.json").read_text())
    shared = json.loads((folder / "metrics.json").read_text())
    assert {"accuracy", "nll", "member_accuracy", "dataset", "split"} <= shared.keys()
    assert shared.items() <= metrics.items()
    card = (folder / "README.md").read_text()
    for lines in (
        "---\nlicense: unknown  # fill in",
        "\nlibrary_name: keras\n",
        '\n- name: "small-digits"\n  results:\n  - task:\n      type: image-classification\n',
        '    dataset:\n      name: "digits"\n      type: "digits"\n      split: "test"\n',
        f"    - type: accuracy\n      value: {metrics['accuracy']!r}\n",
        "\n---\n\n# small-digits\n",
        "its 2 members share a network",
        'mixmo_tf.load("hf://USER/small-digits")',
        "uint8 (n, 32, 32, 3)",
        f"| accuracy, % | {100 * metrics['accuracy']:.2f} | top-1 accuracy |",
        "mixmo-train \\\n  --batch_repetitions=1 \\\n  --batch_size=64 \\\n  --dataset=digits \\\n",
        "\n9  9\n```\n",
    ):
        assert lines in card, lines

    assert_refused(
        "export",
        [
            (
                [f"--model={path}", f"--share={folder}"],
                "small-digits exists; choose another",
            ),
            ([f"--model={path}", "--share=a.keras"], "a name that does not end in .keras: a.keras"),
            (
                [f"--model={path}", "--share=a", "--format=onnx"],
                "own form: leave out format",
            ),
            ([f"--model={path}", "--share=a", "--calibrate"], "own form: leave out calibrate"),
        ],
    )


def test_the_machines_folders_are_left_out_and_nothing_is_made_up(tmp_path):
    flags = {
        "--dataset": "image_folder:/home/ann/flowers",
        "--initialize_from": "/home/ann/old/model.keras",
        "--num_members": "2",
        "--pretrained": "/home/ann/weights.h5",
        "--validation_examples": "1000",
    }
    metrics = {
        "dataset": flags["--dataset"], "accuracy": 0.5, "ece": None, "models": ["/home/ann/x"],
    }  # fmt: skip
    run = {"model": "/home/ann/runs/flowers", "flags": flags, "epoch": "best", "epoch_number": 7}
    facts = {"libraries": {"keras": "3"}, "runs": [run], "metrics": metrics}
    model = fold(tiny_model(class_names=('a"', "b c", "ß", "d")))
    share.write(model, tmp_path / "flowers", facts, 0.875, "folded")
    texts = {name: (tmp_path / "flowers" / name).read_text() for name in FILES - OF_KERAS}
    assert not [name for name, text in texts.items() if "/home" in text]
    card = texts["README.md"]
    assert '      name: "image_folder:flowers"\n' in card and "split:" not in card
    assert "It was trained on the training images of `image_folder:flowers`. 1,000 of" in card
    assert "It began with the weights of `model.keras`." in card and "after epoch 7." in card
    assert "(the central 87.5% of its side)" in card and "\n1  b c\n2  ß\n" in card
    assert "| accuracy, % | 50.00 |" in card and "ECE" not in card
    assert json.loads(texts["model.json"])["central_fraction"] == 0.875

    fitted_on = {"dataset": flags["--dataset"], "images": 60}
    facts["decision"] = {"accepts_at": {"risk": 0.1}, "fitted_on": fitted_on}
    found = origin.without_paths(facts)
    assert found["decision"]["fitted_on"] == {"dataset": "image_folder:flowers", "images": 60}
    assert found["runs"][0]["flags"]["--dataset"] == found["metrics"]["dataset"]
    assert found["runs"][0]["model"] == "flowers" and "/home" not in json.dumps(found)
    assert found["metrics"]["accuracy"] == 0.5 and found["decision"]["accepts_at"] == {"risk": 0.1}

    unknown = {"libraries": {}, "runs": [{"model": "/home/ann/some.keras"}]}
    share.write(fold(tiny_model()), tmp_path / "some", unknown, 1.0, "not folded")
    card = (tmp_path / "some" / "README.md").read_text()
    assert "model-index" not in card and "## Classes" not in card
    assert card.count("fill it in") == 2 and "It was not evaluated" in card
    assert not (tmp_path / "some" / "metrics.json").exists()


def test_other_settings_are_refused_in_python_too():
    with pytest.raises(ValueError, match="^share writes a folder .*: leave out output_dir$"):
        ExportSettings(model="run", share="a", output_dir="b")
