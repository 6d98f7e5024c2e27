"""How many jobs a worker is given at once: as many as it will probably run within 50 ms, and one unless they are short.

A claim is a commit, and a commit waits for the disk; workers whose jobs take a millisecond would wait for it most of
the time. See `docs/decisions/0003-jobs-by-the-handful.md`.
"""

HANDFUL_S = 0.05
LONG_WAIT_S = 0.25
"""How long jobs wait behind another in a worker before they are recalled."""

_DEEPEST = 64
_REMEMBERED = 64
_BEFORE_THE_FIRST = 2


def handful(mean_run_s: float) -> int:
    """Return how many jobs make a handful if each takes so long."""
    return max(1, min(_DEEPEST, int(HANDFUL_S / max(mean_run_s, 1e-6))))


class MeanRun:
    """The moving average of how long runs take."""

    def __init__(self) -> None:
        """Begin as if some had taken a whole handful's time, so that handfuls grow with the runs that were short."""
        self.seconds = HANDFUL_S
        self._remembered = _BEFORE_THE_FIRST

    def add(self, run_s: float) -> None:
        """Take note of one run."""
        self._remembered = min(self._remembered + 1, _REMEMBERED)
        # How much longer it takes does not matter: nobody waits for that. One of an hour would be felt for minutes.
        self.seconds += (min(run_s, LONG_WAIT_S) - self.seconds) / self._remembered
