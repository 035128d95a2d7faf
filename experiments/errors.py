"""What goes wrong and can be told in a sentence."""

import errno

DISK_IS_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Numbers of the errors that say that no more can be written."""


class UserError(ValueError):
    """What the user can put right, said in one sentence."""


class NothingFinished(RuntimeError):
    """Every run of a sweep failed; the message holds what the first one said."""
