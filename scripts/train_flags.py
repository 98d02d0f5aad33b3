"""The flags of `train.py`, for reproduce.py, which takes them too."""

from absl import flags

from mixmo_tf.experiments import Settings, command_line

FLAGS = flags.FLAGS
_VALUES = command_line.flags_of(Settings)
FLAGS.append_flag_values(_VALUES)
for _name in _VALUES:
    FLAGS.register_flag_by_module(__name__, _VALUES[_name])
    FLAGS.register_key_flag_for_module(__name__, _VALUES[_name])


def lines():
    """Every flag of the run, as the lines of a flagfile."""
    return command_line.settings_of(Settings, FLAGS).lines()


def default_values():
    """What the lines say of each flag that is not given: str, or None, by names like "--alpha"."""
    return Settings().of_run()
