"""`doggo doctor`: is everything as it should be, and how is it mended?

Owns the report and the order of the checks; the checks are in `apps/machine.py`,
`apps/house.py`, `apps/database_check.py` and `apps/bot_check.py`.
It changes nothing: a home that does not exist yet still does not exist afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from doggo.apps import bot_check, database_check, house, machine
from doggo.apps.finding import Finding, Level
from doggo.core.errors import DoggoError
from doggo.core.os_errors import explain_os_error
from doggo.settings import Settings

Check = Callable[[Settings], Iterator[Finding]]

CHECKS: dict[str, Check] = {
    "python": machine.python,
    "packages": machine.packages,
    "settings": machine.names_of_settings,
    "home": house.home_folder,
    "disk": house.disk,
    "database": database_check.databases,
    "buckets": house.buckets,
    "photos": house.photos,
    "dataset": house.dataset,
    "models": house.models,
    "tracker": house.tracker,
    "runtimes": machine.runtimes,
    "weights": machine.weights,
    "browser": machine.browser,
    "telegram": bot_check.telegram,
    "inbox": bot_check.dead_letters,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkup:
    """The findings, in the order in which they were looked at."""

    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        """Whether nothing failed; a warning is not a failure."""
        return all(finding.level is not Level.FAIL for finding in self.findings)

    def to_json(self) -> dict[str, object]:
        return {
            "healthy": self.healthy,
            "findings": [
                {"check": f.check, "level": f.level.value, "detail": f.detail, "mend": f.mend}
                for f in self.findings
            ],
        }

    def to_text(self) -> str:
        lines: list[str] = []
        for finding in self.findings:
            lines.append(f"{finding.level.value:<4}  {finding.check:<9} {finding.detail}")
            if finding.mend:
                lines.append(f"{'':<16} mend: {finding.mend}")
        return "\n".join(lines)


def without_settings(problem: str) -> Checkup:
    """Return what can be said where the settings cannot be read: nothing else was looked at."""
    mend = "set it right in the environment or .env; docs/settings.md has every setting"
    return Checkup(
        findings=(Finding(check="settings", level=Level.FAIL, detail=problem, mend=mend),)
    )


def examine(settings: Settings) -> Checkup:
    """Look at everything an installation needs; a check that cannot run is a finding too."""
    findings: list[Finding] = []
    for name, check in CHECKS.items():
        try:
            findings.extend(check(settings))
        except DoggoError as error:
            findings.append(Finding(check=name, level=Level.FAIL, detail=str(error)))
        except OSError as error:
            findings.append(
                Finding(
                    check=name,
                    level=Level.FAIL,
                    detail=f"{error.filename or 'the system'}: {explain_os_error(error)}",
                )
            )
    return Checkup(findings=tuple(findings))
