"""The members' colours, the same in every picture."""

_MEMBERS = ("#1b6ca8", "#d1495b", "#66a182", "#edae49", "#7d5ba6", "#555555")


def of_member(member: int) -> str:
    """The colour of a member; they repeat after six."""
    return _MEMBERS[member % len(_MEMBERS)]
