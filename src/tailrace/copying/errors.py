"""What stops a copy."""


class CopyError(Exception):
    """The installation cannot be copied; the message is a sentence that names the cure."""


class CopyDiffers(CopyError):
    """What arrived is not what was sent."""
