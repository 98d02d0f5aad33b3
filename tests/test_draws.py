"""What a step of MixMo draws: masks, and which of the two blocks."""

import numpy as np
import pytest
import tensorflow as tf
from small_models import tiny_model

import mixmo_tf
from mixmo_tf import seeds


@pytest.fixture
def draw_masks():
    """The masks of one image in each of the first steps, by (steps, chance of the binary block)."""
    model = tiny_model()

    @tf.function
    def draw(steps, probability):
        def of_step(step):
            return model.draw(1, seeds.step_seed(0, step, 0), probability).masks

        return tf.map_fn(of_step, tf.range(steps), fn_output_signature=tf.float32)

    return lambda steps, probability: draw(tf.constant(steps), tf.constant(probability)).numpy()


def test_no_two_steps_draw_the_same_masks(draw_masks):
    drawn = draw_masks(1000, 0.5)
    assert len(np.unique(drawn.reshape(1000, -1), axis=0)) == 1000


def test_the_binary_block_is_chosen_with_its_probability(draw_masks):
    for probability in (0.0, 0.3, 1.0):
        binary = [np.isin(masks, [0, 1]).all() for masks in draw_masks(1000, probability)]
        assert np.mean(binary) == pytest.approx(probability, abs=0.05)


def test_the_schedule_of_the_probability_follows_the_step(pixels_and_labels):
    model = tiny_model(mixing_probability=mixmo_tf.AnnealedProbability(0.5, 120))
    seen = []
    for step in (0, 100, 115, 120):
        model.step.assign(step)
        seen.append(float(model.probability_now()))
    np.testing.assert_allclose(seen, [0.5, 0.5, 0.25, 0], atol=1e-6)


def test_the_share_of_the_binary_block(pixels_and_labels):
    images, labels = pixels_and_labels
    for probability in (0.0, 1.0):
        model = tiny_model(mixing_probability=probability, alpha=0.0, augmentation="none")
        model.compile("sgd", run_eagerly=True)
        history = model.fit(images, labels, batch_size=20, verbose=0).history
        assert history["binary_share"] == [probability]
