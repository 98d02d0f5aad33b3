"""Predictions that were kept are evaluated again, and what is wrong with them is named."""

import numpy as np
import pytest
from pages import kept, some_answers

from mixmo_tf import experiments
from mixmo_tf.experiments import EvaluationSettings


def test_predictions_that_are_none(tmp_path):
    logits, labels = some_answers()
    good = kept(tmp_path / "good", logits, labels)
    kept(tmp_path / "two" / "0", logits, labels)
    other = kept(tmp_path / "other", logits, labels[::-1])
    short = kept(tmp_path / "short", logits[:, :, :1], labels)
    pickled = kept(tmp_path / "pickled", logits, labels, images=np.array([{}] * 60))
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "predictions.npz").write_text("no archive")
    (tmp_path / "empty").mkdir()
    np.savez(tmp_path / "empty" / "predictions.npz", labels=labels)
    (tmp_path / "cut").mkdir()
    whole = (tmp_path / "good" / "predictions.npz").read_bytes()
    (tmp_path / "cut" / "predictions.npz").write_bytes(whole[: len(whole) // 2])
    cases = [
        ([tmp_path / "none"], {}, "there is no predictions.npz at"),
        ([tmp_path / "two"], {}, "two itself, but in its folders 0, 1, …: give each"),
        ([tmp_path / "text"], {}, "is not a readable predictions.npz: "),
        ([tmp_path / "cut"], {}, "is not a readable predictions.npz: "),
        ([tmp_path / "empty"], {}, "it has no member_logits"),
        ([pickled], {}, "is not a readable predictions.npz: "),
        ([short], {}, "labels must be in 0 to 0"),
        ([good, other], {}, "is of other images than"),
        ([good], {"abstain_risk": 0.1}, "abstain_risk needs held-out images"),
        ([good], {"paired": True}, "paired needs two"),
        ([good], {"dataset": "digits"}, "dataset can only be given with --model"),
        ([good], {"which": "best"}, "which can only be given with --model"),
        ([good], {"model": "x"}, "one of --model and --predictions must be given, got both"),
        ([good], {"report": f"{good}/predictions.npz"}, "is no folder; choose another --report"),
    ]
    for folders, more, message in cases:
        with pytest.raises((ValueError, OSError)) as error:
            experiments.evaluate(EvaluationSettings(predictions=folders, **more))
        assert message in str(error.value) and "\n" not in str(error.value), message
    with pytest.raises(ValueError, match="report must name a folder"):
        experiments.report(EvaluationSettings(predictions=good))
    with pytest.raises(ValueError, match="one of --model and --predictions must be given, got nei"):
        EvaluationSettings()
