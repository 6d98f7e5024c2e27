"""What the side navigation and the palette offer, beside the projects."""

from dataclasses import dataclass

from tailrace.projects.schemas import ProjectView


@dataclass(frozen=True, slots=True)
class Section:
    """A place that is always one step away; `key` is what follows `g` on the keyboard."""

    name: str
    address: str
    icon: str
    key: str
    for_administrators: bool = False


SECTIONS = (
    Section("My tasks", "/", "home", "m"),
    Section("Inbox", "/web/inbox", "inbox", "i"),
    Section("Projects", "/web/projects", "projects", "p"),
    Section("Reports", "/web/reports", "reports", "r"),
    Section("Admin", "/web/admin", "admin", "a", for_administrators=True),
)


#: What the tabs of a project lead to: name, address below the project's, icon, text.
PROJECT_TABS = (
    ("list", "", "list", "List"),
    ("board", "/board", "board", "Board"),
    ("photos", "/photos", "photos", "Photos"),
    ("settings", "/settings", "settings", "Settings"),
)


def project_tabs(project: ProjectView) -> list[tuple[str, str, str, str]]:
    """Return the tabs of one project, with their whole addresses."""
    return [(name, f"/web/projects/{project.id}{end}", icon, text) for name, end, icon, text in PROJECT_TABS]
