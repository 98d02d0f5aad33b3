"""MixMo, the model: M subnetworks trained inside one network (Ramé, Sun, Cord, ICCV 2021).

Read `MixMo.loss_and_gradients` first: draw, augment, mix, forward, loss. Each draw is a few lines
in the file named after it.
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from mixmo_tf import arguments, augmentation, class_labels, draws, loss, masks, msda, unmixing
from mixmo_tf.data import checks
from mixmo_tf.models import finite_step, method_arguments, pixel_scale
from mixmo_tf.models.executions import LOOK_SCALED
from mixmo_tf.models.trainer import Trainer
from mixmo_tf.networks import parts, random_layers, unmixed

MOST_REPETITIONS = 10_000
_OBJECTS = "network", "mixing_probability", "unmixing"  # of a saved model's config


@keras.saving.register_keras_serializable(package="mixmo_tf")
class MixMo(Trainer):
    """Trains a network's M members on mixed images; predicts with their ensemble.

    Images are pixels 0–255 (n, H, W, channels), uint8 or float; labels are integers (n,). `fit`
    takes ordinary data, each image once per epoch: repetition, augmentation, normalisation and
    mixing happen inside the step. Its `loss` is the weighted loss without the decay, its
    `member_i_accuracy` how often member i is right about the image it was given (under `msda`,
    about the image that has the larger part), its `binary_share` the share of batches on the binary
    block. `evaluate` gives the ensemble's mean negative log-likelihood as `loss`, the ensemble's
    compiled metrics, each member's accuracy, and `ratio_error`, the members' diversity.

    Args:
        network: keras.Model with M encoders and heads, as `mixmo_tf.networks` build it.
        mixing: the binary mixing block, one of `masks.NAMES`, or a function as `masks.register`
            takes it; None for "cutmix", or, where M = 1, for nothing to mix, as "none".
        mixing_probability: p in [0, 1], the chance that a batch uses `mixing` rather than `linear`;
            or a schedule over the step, as the `AnnealedProbability` that train.py takes.
        unmixing: "full", in training each head sees the core's map through its member's mask; a
            schedule of the fade over the step, as `UnmixingFade`; or None or "none".
        alpha: float >= 0, concentration of the Dirichlet that κ is drawn from; 0 is MIMO.
        weight_root: float r > 0, the root in the loss weights.
        batch_repetitions: int b >= 1; a step on n images has n·b rows.
        input_repetition: ρ in [0, 1], share of rows in which all members see the same image.
        msda: "mixup", "cutmix", or None or "none": mixed-sample data augmentation inside each
            member's image, of half of the images.
        ensemble: "logits" or "probabilities", what is averaged over the members.
        l2: float >= 0; l2·ΣW² over all trainable variables joins the loss (train.py's flag has
            another default, 1e-4).
        augmentation: one of `augmentation.NAMES` (train.py's flag has another default, "crop").
        trivial_augment: bool, whether `trivial_augment` changes what is cropped and flipped.
        random_erasing: in [0, 1], the chance that a box of an image is erased, see `erasing`.
        label_smoothing: ε in [0, 1), see `loss.weighted`.
        mean, std: per channel, of pixels scaled to [0, 1]; None for 0.5 each, or, where the network
            rescales or normalises pixels itself, for what leaves them as they are.
        seed: int in [0, 2^31), seed of all that is drawn in training.
        class_names: C strings by label, or None; kept with the model and written by `export`.

    Raises:
        ValueError: if an argument is out of range; the message names it.
    """

    def __init__(
        self,
        network: keras.Model,
        *,
        mixing: str | Callable | None = None,
        mixing_probability: float | Callable = 0.5,
        unmixing: str | Callable | None = None,
        alpha: float = 2.0,
        weight_root: float = 3.0,
        batch_repetitions: int = 4,
        input_repetition: float = 0.0,
        msda: str | None = None,
        ensemble: str = "logits",
        l2: float = 0.0,
        augmentation: str = "crop_flip",
        trivial_augment: bool = False,
        random_erasing: float = 0.0,
        label_smoothing: float = 0.0,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        seed: int = 0,
        class_names: Sequence[str] | None = None,
        **kwargs: Any,
    ):
        parts.check_has_members(network)
        num_members, num_classes = network.output.shape[1:]
        image_shape = parts.image_shape(network)
        super().__init__(num_members, num_classes, image_shape, ensemble, class_names, **kwargs)
        self.network = network
        self.mask_size = parts.mask_size(network)
        mixing = masks.name_of(mixing) if callable(mixing) else mixing
        if isinstance(mixing, str) and mixing == "none" and num_members == 1:
            mixing = None
        self.mixing = "cutmix" if mixing is None and num_members > 1 else mixing
        self.mixing_probability = mixing_probability
        self.unmixing = None if isinstance(unmixing, str) and unmixing == "none" else unmixing
        self.alpha = alpha
        self.weight_root = weight_root
        self.batch_repetitions = arguments.count(
            "batch_repetitions", batch_repetitions, 1, MOST_REPETITIONS
        )
        self.input_repetition = input_repetition
        self.msda = None if isinstance(msda, str) and msda == "none" else msda
        self.l2 = l2
        self.augmentation = augmentation
        self.trivial_augment = trivial_augment
        self.random_erasing = random_erasing
        self.label_smoothing = label_smoothing
        self.mean, self.std = pixel_scale.of(network, mean, std)
        self.seed = arguments.count("seed", seed, 0)
        method_arguments.check(self)
        self._unmixed = unmixed.forward(network) if self.unmixing else None
        self.binary_share = keras.metrics.Mean(name="binary_share")

    # Training ----------------------------------------------------------------------------

    def train_step(self, data: tuple) -> dict:
        """One step of one replica; what XLA compiles is `loss_and_gradients`."""
        images, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        images = checks.check_images(images, self.image_shape)
        checks.check_number(images, with_msda=self.msda is not None)
        labels = checks.check_labels(labels, self.num_classes)
        before = [tf.identity(variable) for variable in self.statistics()]
        now = self.probability_now(), unmixing.fade_at(self.unmixing, self.step)
        value, *shown, gradients = self.compiled_loss_and_gradients(
            images, labels, sample_weight, self.step_seed(), *now
        )
        logs = finite_step.apply(self, value, shown, gradients, before)
        return {**logs, LOOK_SCALED: checks.look_scaled(images)}

    def loss_and_gradients(
        self,
        images: tf.Tensor,
        labels: tf.Tensor,
        sample_weight: tf.Tensor | None,
        seed: tf.Tensor,
        mixing_probability: float | tf.Tensor,
        fade: tf.Tensor | None = None,
    ) -> tuple:
        """Draw, augment, mix, forward, loss and backward, on one replica's images.

        With a fade the heads see the map through the masks: see `unmixing`. Gives the weighted
        loss, float32 (); of each member whether it was right, float32 (B,); for M > 1 whether the
        batch was on the binary block, float32 (); and the gradients of `objective`.
        """
        drawn = self.draw(tf.shape(images)[0], seed, mixing_probability)
        members, labels, sample_weight = self.members_of(images, labels, sample_weight, drawn)
        with tf.GradientTape() as tape:
            images_of = [members[:, i] for i in range(self.num_members)]  # (B, H, W, channels)
            own_seed = random_layers.seed_of(self.network, seed)
            if fade is None:
                logits = self.forward(images_of, drawn.masks, training=True, seed=own_seed)
            else:
                logits = self._unmixed(images_of, drawn.masks, fade, own_seed)
            value = self.weighted_loss(logits, labels, drawn.masks, sample_weight)
            objective = self.objective(value)
        gradients = tape.gradient(objective, self.trainable_variables)
        if self.msda:
            labels = tf.argmax(labels, axis=-1)  # (B, M)
        right = tf.equal(tf.argmax(logits, axis=-1, output_type=labels.dtype), labels)
        shown = tf.unstack(tf.cast(right, tf.float32), axis=1)
        if self.num_members > 1:
            shown.append(tf.cast(drawn.binary, tf.float32))
        return value, *shown, gradients

    def forward(
        self,
        members: Sequence[tf.Tensor],
        masks: tf.Tensor | None,
        training: bool,
        seed: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Each member's images, M times (B, H, W, channels), and masks to logits (B, M, C)."""
        seed = random_layers.seed_of(self.network) if seed is None else seed
        masks = masks if self.num_members > 1 else None
        return self.network(parts.inputs(members, masks, seed), training=training)

    def weighted_loss(
        self,
        member_logits: tf.Tensor,
        labels: tf.Tensor,
        masks: tf.Tensor,
        sample_weight: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """`loss.weighted` of logits (B, M, C) under this model's `weight_root`, float32 ()."""
        more = sample_weight, self.label_smoothing
        return loss.weighted(member_logits, labels, masks, self.weight_root, *more)

    def members_of(
        self,
        images: tf.Tensor,
        labels: tf.Tensor,
        sample_weight: tf.Tensor | None,
        drawn: draws.Draws,
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor | None]:
        """What each member is shown in each row, what it is to say, and how much that weighs.

        Args:
            images: (n, H, W, channels), pixels 0–255.
            labels: int (n,).
            sample_weight: float (n,) or (n, 1).
            drawn: what `draw` gives.

        Returns:
            Normalised images, float32 (B, M, H, W, channels); labels, int (B, M); weights,
            float (B, M), or None. Under `msda` the labels are vectors, float32 (B, M, C),
            which already carry the weights of the two images.
        """
        members, labels_of, weights_of = self._seen(images, labels, sample_weight, drawn.views)
        if drawn.partners is None:
            return members, labels_of, weights_of
        partners, *of_partners = self._seen(images, labels, sample_weight, drawn.partners.views)
        msda_masks, label_ratio = msda.under_mixing(drawn.partners.masks, drawn.masks)
        vectors = msda.mix_labels(
            (labels_of, weights_of), of_partners, label_ratio, self.num_classes
        )
        return msda.mix(members, partners, msda_masks), vectors, None

    def _seen(self, images, labels, sample_weight, views):
        """The images of the views, normalised; their labels; their weights, or None."""
        seen = augmentation.see(images, views, self.mean, self.std)  # (B, M, H, W, channels)
        if sample_weight is not None:
            sample_weight = tf.gather(tf.reshape(sample_weight, [-1]), views.rows)  # (B, M)
        return seen, tf.gather(labels, views.rows), sample_weight

    def probability_now(self) -> tf.Tensor:
        """The chance of the binary block at this step, float32 ()."""
        if callable(self.mixing_probability):
            return self.mixing_probability(self.step)
        return tf.constant(self.mixing_probability, tf.float32)

    def draw(
        self, num_images: int | tf.Tensor, seed: tf.Tensor, mixing_probability: float | tf.Tensor
    ) -> draws.Draws:
        """All that a step on n images draws, a draws.Draws."""
        return draws.draw(
            num_images,
            seed,
            num_members=self.num_members,
            image_size=self.image_shape[:2],
            mask_size=self.mask_size,
            mixing=self.mixing,
            mixing_probability=mixing_probability,
            alpha=self.alpha,
            batch_repetitions=self.batch_repetitions,
            input_repetition=self.input_repetition,
            msda_name=self.msda,
            augmentation_name=self.augmentation,
            trivial_augment=self.trivial_augment,
            random_erasing=self.random_erasing,
        )

    @property
    def training_trackers(self) -> list[keras.metrics.Metric]:
        """What `fit` shows: the loss, each member's accuracy, the share of the binary block."""
        trackers = [self.loss_tracker, *self.member_accuracies]
        return trackers + [self.binary_share] if self.num_members > 1 else trackers

    training_only = ("binary_share",)  # `evaluate` leaves it out

    # Inference ---------------------------------------------------------------------------

    def logits_of_some(self, images: tf.Tensor) -> tf.Tensor:
        """Every member's logits, without mixing: (n, H, W, channels), n >= 1 -> (n, M, C)."""
        images = augmentation.normalise(images, self.mean, self.std)
        masks = None
        if self.num_members > 1:
            masks = draws.even_masks(tf.shape(images)[0], self.num_members, self.mask_size)
        return self.forward([images] * self.num_members, masks, training=False)

    @property
    def networks(self) -> list[keras.Model]:
        return [self.network]

    # Saving ------------------------------------------------------------------------------

    def get_config(self) -> dict:
        names = (
            "network mixing mixing_probability unmixing alpha weight_root batch_repetitions "
            "input_repetition msda ensemble l2 augmentation trivial_augment random_erasing "
            "label_smoothing mean std seed class_names"
        ).split()
        config = {name: getattr(self, name) for name in names}
        config |= {name: keras.saving.serialize_keras_object(config[name]) for name in _OBJECTS}
        return {**super().get_config(), **config}

    @classmethod
    def from_config(cls, config: dict) -> "MixMo":
        masks.check_registered(config["mixing"])
        for name in _OBJECTS:
            config[name] = keras.saving.deserialize_keras_object(config.get(name))
        config["class_names"] = class_labels.mended(config.get("class_names"))
        return cls(**config)
