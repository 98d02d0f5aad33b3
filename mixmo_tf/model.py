"""MixMo, the model: M subnetworks trained inside one network (Ramé, Sun, Cord, ICCV 2021).

Read `MixMo.train_step` first, then `MixMo.weighted_loss`: draw, augment, mix, forward, loss.
Each draw is a few lines in the file named after it.
"""

import math
from typing import NamedTuple

import keras
import tensorflow as tf

from mixmo_tf import arguments, augmentation, masks, pairing, ratios, seeds
from mixmo_tf.data.checks import check_images, check_labels
from mixmo_tf.deployment import saved_model
from mixmo_tf.training.replica_model import ReplicaModel, at_least_one, average_over_replicas

ENSEMBLES = ("logits", "probabilities")


class Draws(NamedTuple):
    """All that is random in a step; see `pairing`, `augmentation` and `masks`."""

    rows: tf.Tensor  # int32 (B, M)
    offsets: tf.Tensor  # int32 (B, M, 2)
    flips: tf.Tensor  # bool (B, M)
    binary: tf.Tensor  # bool (), whether the batch is on the binary block
    masks: tf.Tensor  # float32 (B, h, w, M)


@keras.saving.register_keras_serializable(package="mixmo_tf")
class MixMo(ReplicaModel):
    """Trains a network's M members on mixed images; predicts with their ensemble.

    Images are pixels 0–255 (n, H, W, channels), uint8 or float; labels are integers (n,).
    `fit` takes ordinary data, each image once per epoch: repetition, augmentation,
    normalisation and mixing happen inside the step. Its `loss` is the weighted loss without
    the decay, its `member_i_accuracy` how often member i is right about the image it was
    given, its `binary_share` the share of batches on the binary block. `evaluate` gives the
    ensemble's mean negative log-likelihood as `loss`, the ensemble's compiled metrics, and
    each member's accuracy.

    Args:
        network: keras.Model with M encoders and heads, as `mixmo_tf.networks` build it.
        mixing: the binary mixing block, one of `masks.NAMES`; None for a network with M = 1.
        mixing_probability: float p in [0, 1], the chance that a batch uses `mixing` rather
            than `linear`; or a schedule over the step, such as `AnnealedProbability`.
        alpha: float >= 0, concentration of the Dirichlet that κ is drawn from; 0 is MIMO.
        weight_root: float r > 0, the root in the loss weights.
        batch_repetitions: int b >= 1; a step on n images has n·b rows.
        input_repetition: float ρ in [0, 1], share of rows in which all members see the same
            image.
        ensemble: "logits" or "probabilities", what is averaged over the members.
        l2: float >= 0; l2·ΣW² over all trainable variables joins the loss.
        augmentation: one of `augmentation.NAMES`.
        mean: per channel, of pixels scaled to [0, 1].
        std: per channel, of pixels scaled to [0, 1].
        seed: int in [0, 2^31), seed of all that is drawn in training.
        class_names: C strings by label, or None; kept with the model and written by `export`.

    Raises:
        ValueError: if an argument is out of range; the message names it.
    """

    def __init__(
        self,
        network,
        *,
        mixing="cutmix",
        mixing_probability=0.5,
        alpha=2.0,
        weight_root=3.0,
        batch_repetitions=4,
        input_repetition=0.0,
        ensemble="logits",
        l2=0.0,
        augmentation="crop_flip",
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        seed=0,
        class_names=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.network = network
        self.num_members, self.num_classes = network.output.shape[1:]
        self.image_shape = tuple(network.input["image_0"].shape[1:])
        self.mixing = mixing
        self.mixing_probability = mixing_probability
        self.alpha = alpha
        self.weight_root = weight_root
        self.batch_repetitions = batch_repetitions
        self.input_repetition = input_repetition
        self.ensemble = ensemble
        self.l2 = l2
        self.augmentation = augmentation
        self.mean = tuple(mean)
        self.std = tuple(std)
        self.seed = seed
        self.class_names = None if class_names is None else tuple(class_names)
        self._check_arguments()
        self.member_accuracies = [
            keras.metrics.Mean(name=f"member_{i}_accuracy") for i in range(self.num_members)
        ]
        self.binary_share = keras.metrics.Mean(name="binary_share")
        self.built = True

    # Inference ---------------------------------------------------------------------------

    def call(self, images):
        """The ensemble's probabilities: pixels (n, H, W, channels) -> float32 (n, C)."""
        return tf.nn.softmax(self.ensemble_logits(self.member_logits(images)))

    def member_logits(self, images):
        """Every member's logits on the same images, without mixing.

        Args:
            images: (n, H, W, channels), pixels 0–255.

        Returns:
            float32 (n, M, C).
        """
        images = check_images(images, self.image_shape)
        num_images = tf.shape(images)[0]
        images = augmentation.normalise(at_least_one(images), self.mean, self.std)
        members = tf.repeat(images[:, None], self.num_members, axis=1)  # (n, M, H, W, channels)
        masks = self._even_masks(tf.shape(images)[0])
        return self.forward(members, masks, training=False)[:num_images]

    def ensemble_logits(self, member_logits):
        """The ensemble's logits (n, C), from its members' (n, M, C).

        They are the mean of the members' logits, or the logarithm of the mean of the members'
        probabilities.
        """
        if self.ensemble == "logits":
            return tf.reduce_mean(member_logits, axis=1)
        log_probabilities = tf.nn.log_softmax(member_logits)
        return tf.reduce_logsumexp(log_probabilities, axis=1) - math.log(self.num_members)

    # Training ----------------------------------------------------------------------------

    def train_step(self, data):
        """One step of one replica; what XLA compiles is `loss_and_gradients`."""
        images, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        images = check_images(images, self.image_shape)
        labels = check_labels(labels, self.num_classes)
        replica = tf.distribute.get_replica_context()
        seed = seeds.step_seed(self.seed, self.step, replica.replica_id_in_sync_group)

        loss, correct, binary, gradients = self.compiled_loss_and_gradients(
            images, labels, sample_weight, seed, self._mixing_probability()
        )
        with tf.control_dependencies([loss]):  # nothing counts where the data has ended
            self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))
            average_over_replicas(self.network.non_trainable_variables)
            self.step.assign_add(1)

        values = [loss, *tf.unstack(correct, axis=1), binary]
        for tracker, value in zip(self.training_trackers, values):
            tracker.update_state(value)
        return {tracker.name: tracker.result() for tracker in self.training_trackers}

    @property
    def training_trackers(self):
        """What `fit` shows: the loss, each member's accuracy, the share of the binary block."""
        trackers = [self.loss_tracker, *self.member_accuracies]
        return trackers + [self.binary_share] if self.num_members > 1 else trackers

    def loss_and_gradients(self, images, labels, sample_weight, seed, mixing_probability):
        """Draw, augment, mix, forward, loss and backward, on one replica's images.

        Returns:
            The weighted loss, float32 (); whether each member was right, float32 (B, M);
            whether the batch was on the binary block, float32 (); and the gradients of
            (weighted loss + l2·ΣW²) / replicas.
        """
        draws = self.draw(tf.shape(images)[0], seed, mixing_probability)
        members = augmentation.apply(images, draws.rows, draws.offsets, draws.flips)
        members = augmentation.normalise(members, self.mean, self.std)  # (B, M, H, W, channels)
        labels = tf.gather(labels, draws.rows)  # (B, M)
        if sample_weight is not None:
            sample_weight = tf.gather(tf.reshape(sample_weight, [-1]), draws.rows)  # (B, M)

        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        with tf.GradientTape() as tape:
            logits = self.forward(members, draws.masks, training=True)
            loss = self.weighted_loss(logits, labels, draws.masks, sample_weight)
            objective = self.optimizer.scale_loss((loss + self._decay()) / replicas)
        gradients = tape.gradient(objective, self.trainable_variables)
        correct = tf.equal(tf.argmax(logits, axis=-1, output_type=labels.dtype), labels)
        return loss, tf.cast(correct, tf.float32), tf.cast(draws.binary, tf.float32), gradients

    def draw(self, num_images, seed, mixing_probability):
        """Draws all that is random in a step on `num_images` images.

        Args:
            num_images: int or int32 scalar, n.
            seed: int32 (2,).
            mixing_probability: float scalar, the chance of the binary block.

        Returns:
            Draws, with B = n·b rows.
        """
        pairing_seed, augmentation_seed, masks_seed = seeds.split(seed, 3)
        num_rows = num_images * self.batch_repetitions
        rows = pairing.draw(
            num_images,
            self.num_members,
            self.batch_repetitions,
            self.input_repetition,
            pairing_seed,
        )
        offsets, flips = augmentation.draw(
            self.augmentation, [num_rows, self.num_members], augmentation_seed
        )
        binary, masks = self._draw_masks(num_rows, masks_seed, mixing_probability)
        return Draws(rows, offsets, flips, binary, masks)

    def _draw_masks(self, num_rows, seed, mixing_probability):
        """Whether the batch is on the binary block, bool (), and its masks (B, h, w, M)."""
        if self.num_members == 1:
            return tf.constant(False), self._even_masks(num_rows)
        ratios_seed, choice_seed, block_seed = seeds.split(seed, 3)
        size = self.network.input["masks"].shape[1:3]
        kappa = ratios.draw(num_rows, self.num_members, self.alpha, ratios_seed)  # (B, M)
        binary = seeds.uniform([], choice_seed) < mixing_probability
        return binary, tf.where(
            binary,
            masks.draw(self.mixing, kappa, size, block_seed),
            masks.draw("linear", kappa, size, block_seed),
        )

    def weighted_loss(self, member_logits, labels, masks, sample_weight=None):
        """Mean over rows of Σ_i w_i·CE(y_i, logits_i), w from the realised ratios.

        Args:
            member_logits: float (B, M, C).
            labels: int (B, M).
            masks: float (B, h, w, M); their means over the pixels are the realised ratios.
            sample_weight: float (B, M) or None.

        Returns:
            float32 scalar.
        """
        realised = tf.reduce_mean(masks, axis=[1, 2])  # (B, M)
        weights = ratios.loss_weights(realised, self.weight_root)
        if sample_weight is not None:
            weights *= tf.cast(sample_weight, weights.dtype)
        cross_entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, member_logits)
        return tf.reduce_mean(tf.reduce_sum(weights * cross_entropy, axis=1))

    def _decay(self):
        """l2·ΣW² over all trainable variables, batch-norm scales and biases included."""
        if self.l2 == 0:
            return 0.0
        return self.l2 * sum(tf.reduce_sum(tf.square(w)) for w in self.trainable_variables)

    def forward(self, members, masks, training):
        """Images (B, M, H, W, channels) and masks (B, h, w, M) to logits (B, M, C)."""
        inputs = {f"image_{i}": members[:, i] for i in range(self.num_members)}
        if self.num_members > 1:
            inputs["masks"] = masks
        return self.network(inputs, training=training)

    def _even_masks(self, num_rows):
        size = self.network.input["masks"].shape[1:3] if self.num_members > 1 else (1, 1)
        return tf.fill([num_rows, *size, self.num_members], 1.0 / self.num_members)

    def _mixing_probability(self):
        if callable(self.mixing_probability):
            return self.mixing_probability(self.step)
        return tf.constant(self.mixing_probability, tf.float32)

    # Evaluation --------------------------------------------------------------------------

    def test_step(self, data):
        """Judges the ensemble and each member on ordinary images."""
        images, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        labels = check_labels(labels, self.num_classes)
        member_logits = self.member_logits(images)  # (n, M, C)
        ensemble = self.ensemble_logits(member_logits)  # (n, C)
        nll = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, ensemble)  # (n,)
        self.loss_tracker.update_state(nll, sample_weight)
        predicted = tf.argmax(member_logits, axis=-1, output_type=labels.dtype)  # (n, M)
        for i, accuracy in enumerate(self.member_accuracies):
            accuracy.update_state(tf.equal(predicted[:, i], labels), sample_weight)
        results = self.compute_metrics(images, labels, tf.nn.softmax(ensemble), sample_weight)
        return {name: results[name] for name in results if name != self.binary_share.name}

    # Saving ------------------------------------------------------------------------------

    def export(self, filepath, format="tf_saved_model", verbose=None):
        """Writes a SavedModel that takes uint8 images; see `deployment.saved_model.export`."""
        del verbose  # Keras' argument; there is nothing to tell
        arguments.one_of("format", format, ("tf_saved_model",))
        saved_model.export(self, filepath)

    def get_config(self):
        names = (
            "network mixing mixing_probability alpha weight_root batch_repetitions "
            "input_repetition ensemble l2 augmentation mean std seed class_names"
        ).split()
        config = {name: getattr(self, name) for name in names}
        for name in ("network", "mixing_probability"):
            config[name] = keras.saving.serialize_keras_object(config[name])
        return {**super().get_config(), **config}

    @classmethod
    def from_config(cls, config):
        for name in ("network", "mixing_probability"):
            config[name] = keras.saving.deserialize_keras_object(config[name])
        return cls(**config)

    def _check_arguments(self):
        if self.num_members == 1 and self.mixing is not None:
            raise ValueError(f"mixing must be None for a network with M = 1, got {self.mixing!r}")
        if self.num_members > 1:
            arguments.one_of("mixing", self.mixing, masks.NAMES)
        if not callable(self.mixing_probability):
            arguments.within("mixing_probability", self.mixing_probability, 0, 1)
        arguments.at_least("alpha", self.alpha, 0)
        arguments.above("weight_root", self.weight_root, 0)
        arguments.at_least("batch_repetitions", self.batch_repetitions, 1)
        arguments.whole("batch_repetitions", self.batch_repetitions)
        arguments.within("input_repetition", self.input_repetition, 0, 1)
        arguments.one_of("ensemble", self.ensemble, ENSEMBLES)
        arguments.at_least("l2", self.l2, 0)
        arguments.one_of("augmentation", self.augmentation, augmentation.NAMES)
        arguments.within("seed", self.seed, 0, 2**31 - 1)
        arguments.whole("seed", self.seed)
        if self.class_names and len(self.class_names) != self.num_classes:
            raise ValueError(
                f"class_names must be the {self.num_classes} of the network, "
                f"got {len(self.class_names)}"
            )
        channels = self.image_shape[2]
        if not len(self.mean) == len(self.std) == channels or not min(self.std) > 0:
            raise ValueError(
                f"mean and std must have {channels} values and std be > 0, "
                f"got {self.mean} and {self.std}"
            )
