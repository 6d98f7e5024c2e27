"""Who may see the pages of administrators."""

from typing import Annotated

from fastapi import Depends

from tailrace.errors import Forbidden
from tailrace.web.visit import Visit, Visiting


async def _administrator(visit: Visiting) -> Visit:
    if not visit.user.is_admin:
        raise Forbidden("Only an administrator sees this page.")
    return visit


AdminVisiting = Annotated[Visit, Depends(_administrator)]
