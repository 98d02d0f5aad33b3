"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009), as tensorflow-datasets keeps them."""

import os

from mixmo_tf.data import prepared
from mixmo_tf.data.examples import Examples

MEAN, STD = (0.49137, 0.48235, 0.44667), (0.2023, 0.1994, 0.2010)
CLASS_NAMES = {  # by label, as the archives have them
    "cifar10": tuple("airplane automobile bird cat deer dog frog horse ship truck".split()),
    "cifar100": tuple(
        """
        apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus
        butterfly camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch
        crab crocodile cup dinosaur dolphin elephant flatfish forest fox girl hamster house
        kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle
        mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree
        plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew
        skunk skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank
        telephone television tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf
        woman worm
        """.split()
    ),
}


def read(name: str, split: str, data_dir: str | os.PathLike | None) -> Examples:
    """A split, its images still encoded."""
    import tensorflow_datasets as tfds  # imported here: it takes seconds

    builder = prepared.prepare(tfds.builder(name, data_dir=data_dir))
    names = tuple(builder.info.features["label"].names)
    return prepared.encoded(builder, split, names, "id", mean=MEAN, std=STD)
