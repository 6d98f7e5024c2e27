"""What requests about projects carry, and what is answered."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from tailrace.accounts.schemas import Person
from tailrace.http.fields import Email, Input, Line, Text, View
from tailrace.projects.models import Role

Name = Annotated[Line, Field(min_length=1, max_length=200)]
Description = Annotated[Text, Field(max_length=20_000)]


class ProjectInput(Input):
    """A new project; whoever creates it becomes its manager."""

    name: Name
    description: Description = ""


class ProjectChanges(Input):
    """What may change of a project; a member that is left out stays as it is."""

    name: Name | None = None
    description: Description | None = None
    archived: bool | None = None


class ProjectView(View):
    """A project as the caller sees it; `role` is what the caller may do in it."""

    id: int
    name: str
    description: str
    archived: bool
    role: Role
    created_at: datetime
    updated_at: datetime

    @property
    def open_to_work(self) -> bool:
        """Whether the caller may change what is in it: a member may, until it is archived."""
        return self.role.rank >= Role.MEMBER.rank and not self.archived


class ProjectRef(View):
    """A project by name."""

    id: int
    name: str


class ProjectPage(View):
    """A page of projects; `next` goes into `after` of the next request."""

    items: list[ProjectView]
    next: int | None


class ProjectQuery(Input):
    """Which page of projects."""

    archived: bool | None = None
    after: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    limit: Annotated[int, Field(ge=1, le=200)] = 50


class MemberInput(Input):
    """Somebody who has an account, to be a member of a project."""

    email: Email
    role: Role = Role.MEMBER


class RoleInput(Input):
    """A member's new role."""

    role: Role


class MemberView(View):
    """A member of a project."""

    user: Person
    role: Role
    added_at: datetime


class MemberList(View):
    """All members of a project."""

    items: list[MemberView]
