"""Names the classes of image files, by a trained model of any format.

    python scripts/predict.py --model=runs/flowers photo.jpg another.png
    python scripts/predict.py --model=runs/flowers photos --csv=answers.csv
    python scripts/predict.py --model=runs/flowers/exported/model.onnx 'photos/*.jpg' --top=3

A model is a run's folder, a .keras file, or what export.py wrote: a SavedModel's folder, an .onnx
or a .tflite file. A folder stands for all images in it. Images are read as those of an
image_folder: they are turned as EXIF says, laid on white where they are transparent, and their
central square is scaled. A file that cannot be read gets a line that says so; the other files are
answered, and the exit code is 1.
"""

import functools
import importlib.util
import os
import runpy


def main():
    # signals are answered before TensorFlow is imported, which takes seconds
    package = importlib.util.find_spec("mixmo_tf").submodule_search_locations[0]
    ending = runpy.run_path(os.path.join(package, "experiments", "ending.py"))
    ending["run"](load)


def load():
    """Imports what the command needs; what it gives runs the command."""
    from mixmo_tf.experiments import command_line
    from mixmo_tf.experiments.predict import PredictSettings, predict_all

    return functools.partial(
        command_line.run, predict_all, PredictSettings, rest="files", description=__doc__
    )


if __name__ == "__main__":
    main()
