# SPDX-License-Identifier: Apache-2.0
"""What an audit of a learning run says: findings, notices, facts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["Finding", "Report"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it must be."""

    code: str
    message: str

    def to_dict(self) -> dict[str, str]:
        """JSON-ready form."""
        return {"code": self.code, "message": self.message}


@dataclass(slots=True)
class Report:
    """What an audit found.

    Attributes:
        findings: what is wrong; empty where everything holds.
        notices: what is worth knowing and happens without anybody's fault.
        facts: what was checked, in numbers.
    """

    findings: list[Finding] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    def find(self, code: str, message: str) -> None:
        """Add a finding; each once."""
        one = Finding(code, message)
        if one not in self.findings:
            self.findings.append(one)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "holds": self.holds,
            "findings": [finding.to_dict() for finding in self.findings],
            "notices": list(self.notices),
            "facts": self.facts,
        }
