"""Every kind of report, found when this module is imported: a mistake among them keeps the service from starting."""

import importlib
import pkgutil
from collections.abc import Mapping
from typing import Any

import tailrace.reports.kinds
from tailrace.reports.kinds import ReportKind


class BadReportKind(Exception):
    """A module of report kinds is not as it must be."""


def load_kinds(package: str) -> dict[str, ReportKind[Any]]:
    """Return the kinds of the modules of `package` by name.

    Raises BadReportKind if a module declares no `KIND`, or two declare the same name.
    """
    kinds: dict[str, ReportKind[Any]] = {}
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__, f"{package}."):
        kind = getattr(importlib.import_module(module.name), "KIND", None)
        if not isinstance(kind, ReportKind):
            raise BadReportKind(f"{module.name} declares no KIND = ReportKind(...).")
        if kind.name in kinds:
            raise BadReportKind(f"{module.name} declares the kind {kind.name!r}, which another module declares too.")
        kinds[kind.name] = kind
    return kinds


KINDS: Mapping[str, ReportKind[Any]] = load_kinds(tailrace.reports.kinds.__name__)
