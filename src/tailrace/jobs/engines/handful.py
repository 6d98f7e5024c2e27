"""How many jobs a worker is given at once: as many as it will probably run within 50 ms, and one unless they are short.

A claim is a commit, and a commit waits for the disk; workers whose jobs take a millisecond would wait for it most of
the time. See `docs/decisions/0003-jobs-by-the-handful.md`.
"""

_DEEPEST = 64
_HANDFUL_S = 0.05


def handful(mean_run_s: float) -> int:
    """Return how many jobs make a handful if each takes so long."""
    return max(1, min(_DEEPEST, int(_HANDFUL_S / max(mean_run_s, 1e-6))))
