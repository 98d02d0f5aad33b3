"""The decision that travels with an exported model: wanted, fitted on held-out images, in words."""

import dataclasses
import logging
import math
import pathlib
from collections.abc import Callable

from mixmo_tf import evaluation
from mixmo_tf.deployment.file_predictor import FilePredictor
from mixmo_tf.evaluation import conformal, decision, selective
from mixmo_tf.experiments import abstention, answers, images
from mixmo_tf.experiments.fields import setting
from mixmo_tf.models.predictor import Predictor

_log = logging.getLogger(__name__)
_BATCH = 50


@dataclasses.dataclass(frozen=True, kw_only=True)
class OfDecision(abstention.OfAbstention):
    """Whether a decision is fitted, and what it accepts."""

    calibrate: bool = setting(
        False,
        "Fit on held-out images a temperature, the threshold from which on answers are "
        f"accepted (--abstain_risk, {selective.RISK:g} if not set, or --abstain_coverage), and "
        f"prediction sets that hold the label of {100 * conformal.COVERAGE:g} % of the images; "
        "and write what they decide into every file, as further outputs.",
    )

    def __post_init__(self):
        super().__post_init__()
        wanted = self.wanted()
        if wanted and not self.calibrate:
            raise ValueError(f"abstain_{next(iter(wanted))} is for --calibrate")
        if len(wanted) > 1:
            raise ValueError("abstain_risk and abstain_coverage are one or the other, got both")

    def accepted(self) -> dict[str, float]:
        """What the threshold on confidence is for: a dict of "risk" or "coverage"."""
        return self.wanted() or {"risk": selective.RISK}


class Fitted:
    """Decisions of a model, and of files that it was written to, fitted on the same images.

    Args:
        tested_on: the images that the model is tested on.
        held_out: others that the model was not trained on; None if there are none.
        load: `images.load`.
        model: the model, for the size of its images.

    Raises:
        ValueError: if there are no such images, or they are not the model's.
    """

    def __init__(
        self,
        settings: OfDecision,
        tested_on: images.Images,
        held_out: images.Images | None,
        load: Callable,
        model: Predictor,
    ):
        if held_out is None:
            raise ValueError(_what_is_missing(settings, tested_on))
        self._images, self._examples = held_out, load(held_out)
        images.check(held_out, self._examples.info, model)
        self._accepted = settings.accepted()
        _log.info("Fitting the decision on %d %s images.", len(self._examples), held_out.split)

    def to(self, model: Predictor) -> tuple[decision.Decision, abstention.Evidence]:
        """The Decision of a model, and how well its threshold on confidence does."""
        with answers.explained(self._examples.find_damaged):
            member_logits, labels = evaluation.predict(model, self._examples.batches(_BATCH))
        logits = evaluation.ensemble_logits(member_logits, model.ensemble)
        fitted = decision.fit(logits, labels, **self._accepted)
        p = decision.decide(logits, fitted).calibrated_probabilities
        return fitted, abstention.Evidence.of(p, labels, fitted.confidence_threshold)

    def to_file(self, ensemble: str) -> Callable[[pathlib.Path], decision.Decision]:
        """A function that gives the Decision of a file, for `deployment.export`."""
        return lambda file: self.to(FilePredictor(file, ensemble))[0]

    def described(self, evidence: abstention.Evidence) -> dict:
        """What they were fitted on and for, and what that shows, for model.json."""
        doubt = self.doubt(evidence)
        ((name, value),) = self._accepted.items()
        return {
            "accepts_at": {name: value},
            "set_coverage": conformal.COVERAGE,
            "fitted_on": {
                "dataset": self._images.dataset,
                "split": self._images.split,
                "images": evidence.images,
                "accepted": evidence.answers,
                "wrong": evidence.errors,
                "risk_bound": evidence.risk_bound,
            },
            **({"note": doubt} if doubt else {}),
        }

    def doubt(self, evidence: abstention.Evidence) -> str:
        """A line where the images cannot show the error that is wanted, else ""."""
        return evidence.doubt(self._accepted["risk"]) if "risk" in self._accepted else ""

    def in_words(self, of_model: decision.Decision) -> str:
        """A line that says what was fitted."""
        ((name, value),) = self._accepted.items()
        kind = "an error of at most" if name == "risk" else "a coverage of at least"
        wanted = f"{kind} {100 * value:g} %"
        accepts = (
            f"accepted from a confidence of {of_model.confidence_threshold:.4f} on, for {wanted}"
        )
        if math.isinf(of_model.confidence_threshold):
            accepts = f"nothing accepted, as no threshold keeps {wanted}"
        promise = f"{100 * conformal.COVERAGE:g} % to hold the label"
        sets = f"sets up to a sum of {of_model.set_threshold:.4f}, for {promise}"
        if of_model.set_threshold == 0:
            sets = "sets of the most probable class alone, which is right for "
            sets += f"{100 * conformal.COVERAGE:g} % of these images or more"
        if math.isinf(of_model.set_threshold):
            sets = f"sets of all classes, as the images are too few for {promise}"
        return (
            f"Fitted on {len(self._examples):,} {self._images.split} images of "
            f"{self._images.dataset}: temperature {of_model.temperature:.3f}; {accepts}; {sets}."
        )


def _what_is_missing(settings, tested_on):
    """Why there are no images to fit on, and what to do about it."""
    if settings.split not in (None, "test"):
        return (
            "calibrate fits on held-out images and tests on the test images: leave out the split, "
            f"got split={settings.split}"
        )
    if tested_on.split != "test":
        return (
            "calibrate needs held-out images that are not the ones that it is tested on, and "
            f"{tested_on.dataset} has no test images: train on a folder with train/, val/ and "
            "test/, or name other labelled images, a folder with val/ and test/, by --dataset"
        )
    return (
        "calibrate needs held-out images beside the test images, and of "
        f"{tested_on.dataset} none are held out: train with --validation_examples, or on a folder "
        "with train/, val/ and test/; or name other labelled images, with val/ and test/, by "
        "--dataset"
    )
