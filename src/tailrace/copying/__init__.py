"""Moves an installation from SQLite and a folder to PostgreSQL and another storage, and leaves the old one as it is.

    check both ends ──▶ tables, page by page ──▶ objects, one by one ──▶ take into use
                            │        ▲                 │       ▲
                            ▼        │                 ▼       │
                          the ledger in the target: what is there for certain

Tables are those of the models, whichever they are, copied from one state of the source in the order of their foreign
keys; each is compared with its source, by its number of rows and a digest of their contents, before the next is begun.
Objects are compared by their SHA-256. What is committed in the ledger need not be done again: killed at any moment, a
copy goes on where it was. Until the end the target names `COPYING` as its revision, so no service starts on half of it.
"""

from tailrace.copying.errors import CopyDiffers, CopyError
from tailrace.copying.installation import Files, check_target, copy_installation
from tailrace.copying.progress import Progress

__all__ = ["CopyDiffers", "CopyError", "Files", "Progress", "check_target", "copy_installation"]
