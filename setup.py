"""Packaging of mixmo_tf; BUILD.md says why each dependency is there."""

import pathlib
import runpy

from setuptools import find_packages, setup

ROOT = pathlib.Path(__file__).parent
VERSION = runpy.run_path(str(ROOT / "mixmo_tf/version.py"))["VERSION"]
COMMANDS = sorted(file.stem for file in ROOT.glob("scripts/[!_]*.py"))
ONNX = ["tf2onnx>=1.17", "onnx", "onnxruntime"]
CORRUPTIONS = ["imagecorruptions-imaug>=1.1.5", "joblib"]
TORCH = ["torch>=2.6", "safetensors"]
SERVE = ["starlette>=1", "uvicorn"]
DOCS = ["sphinx>=8", "myst-nb>=1.4", "furo", *SERVE]
HUB = ["huggingface_hub>=0.34"]  # has the command hf

setup(
    name="mixmo-tf",
    version=VERSION,
    description="MixMo (Ramé, Sun, Cord, ICCV 2021) for Keras 3 and TensorFlow",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author="The contributors of mixmo_tf",
    license="Apache-2.0",
    keywords="ensembles, MixMo, MIMO, CutMix, Keras, TensorFlow, image classification, calibration",
    classifiers=[
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3 :: Only",
        *(f"Programming Language :: Python :: 3.{minor}" for minor in (10, 11, 12, 13)),
        "Topic :: Scientific/Engineering :: Image Recognition",
        "Typing :: Typed",
    ],
    packages=[
        *find_packages(include=["mixmo_tf", "mixmo_tf.*"]),
        "mixmo_scripts",
        "mixmo_configs",
    ],
    package_dir={"mixmo_scripts": "scripts", "mixmo_configs": "configs"},
    entry_points={
        "console_scripts": [
            f"mixmo-{name.replace('_', '-')} = mixmo_scripts.{name}:main" for name in COMMANDS
        ]
    },
    package_data={
        "mixmo_configs": ["*.flags", "families/*.flags"],
        "mixmo_tf": ["py.typed"],
        "mixmo_tf.data": ["checksums.tsv"],
        "mixmo_tf.experiments.page": ["templates/*"],
    },
    python_requires=">=3.10",
    install_requires=[
        "tensorflow>=2.21,<2.22",
        "keras>=3.12,<3.16",
        "tensorflow-datasets>=4.9.10",
        "importlib_resources",
        'etils<1.14; python_version < "3.11"',
        "absl-py",
        "numpy",
        "h5py",
        "scikit-learn",
        "scipy>=1.15",
        "jinja2>=3.1",
        "markupsafe",
        "matplotlib",
        "pillow>=11.3",
        "tensorboard",
        "tqdm",
    ],
    extras_require={
        "cuda": ["tensorflow[and-cuda]>=2.21,<2.22"],
        "onnx": ONNX,
        "corruptions": CORRUPTIONS,
        "torch": TORCH,
        "serve": SERVE,
        "docs": DOCS,
        "hub": HUB,
        "test": ["pytest", "pytest-xdist", *ONNX, *CORRUPTIONS, *SERVE],
        "dev": ["ruff==0.17.6", "import-linter==2.17"],
    },
)
