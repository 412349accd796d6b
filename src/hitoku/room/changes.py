# SPDX-License-Identifier: Apache-2.0
"""What differs between two versions of an agreement, and who must sign the difference.

A new version needs the signatures of the members *whose data or duty it touches*:

- a table's owner, where the table, its columns, its rule or its access budgets change;
- an account's owner, where its budget changes or comes or goes;
- a model's owner, where a model that its node serves comes, goes or changes;
- the member itself, where its key or abilities change or it comes or goes;
- every owner of a table (before and after), where others' reach over their data changes: members,
  abilities, keys, settings, protections, templates, how answers leave, which evidence counts;
- a host or compute member, where its own duty begins or ends.

Who owned a table and leaves, and who changes its key, signs with the key of the version before. Otherwise a
partner could remove an owner, add "it" again with a key of its own choice, and loosen the rule of a table
that still lies at the host. For the same reason the name of a table that left stays its last owner's
(`TableNames`): the owner's signature let the table go, not somebody else's rule for a file of that name.

A partner's own new table touches no one else's data: every question still has to pass all tables'
rules. The name of the room touches everybody, since it tells people what they agree to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hitoku.errors import RoomError
from hitoku.room.agreement import Agreement, Table

__all__ = ["Change", "Signers", "TableNames", "changes", "must_sign"]


@dataclass(frozen=True, slots=True)
class Change:
    """One difference.

    Attributes:
        path: where, e.g. ``tables.flights.rule.outputConstraints``.
        kind: ``added``, ``removed`` or ``changed``.
        before: JSON-ready value before; None where it was added.
        after: JSON-ready value after; None where it was removed.
        touches: names of the members whose data or duty it touches, sorted.
    """

    path: str
    kind: str
    before: Any
    after: Any
    touches: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "path": self.path,
            "kind": self.kind,
            "before": self.before,
            "after": self.after,
            "touches": list(self.touches),
        }


def changes(old: Agreement, new: Agreement) -> tuple[Change, ...]:
    """All differences, in the order of the agreement's fields.

    Raises:
        RoomError: the two are not versions of one room.
    """
    if old.id != new.id:
        raise RoomError("these are two rooms, not two versions of one: their ids differ")
    everyone = {m.name for m in (*old.members, *new.members)}
    owners = old.owners() | new.owners()
    found: list[Change] = []
    if old.name != new.name:
        found.append(_change("name", old.name, new.name, everyone))
    for field, value in _dump(old.settings).items():
        after = _dump(new.settings)[field]
        if value != after:
            found.append(_change(f"settings.{field}", value, after, owners))
    # In order: a question is computed by the first of them that can.
    if old.protections != new.protections:
        found.append(_change("protections", list(old.protections), list(new.protections), owners))
    found += _members(old, new, owners)
    found += _tables(old, new)
    found += _budgets(old, new)
    found += _templates(old, new, owners)
    found += _models(old, new)
    if old.crosstab != new.crosstab:
        # Every owner's: how people are recognised decides what all of them compute.
        found.append(_change("crosstab", _dump(old.crosstab), _dump(new.crosstab), owners))
    if old.attestation != new.attestation:
        # Every owner's: it decides who gets the keys to their tables.
        found.append(_change("attestation", _dump(old.attestation), _dump(new.attestation), owners))
    if old.shares != new.shares:
        # Every owner's and every server's: two servers together could read what is shared.
        servers = {s for part in (old.shares, new.shares) if part is not None for s in part.servers}
        found.append(_change("shares", _dump(old.shares), _dump(new.shares), owners | servers))
    for field, value in _whole(old.release).items():
        after = _whole(new.release)[field]
        if value != after:
            found.append(_change(f"release.{field}", value, after, owners))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Signers:
    """Who must sign a new version.

    Attributes:
        current: with the key that the new version names.
        previous: with the key that the version before named.
        everybody: whether everybody has to because the shares of who would otherwise do so are used up
            (`hitoku.room.history`).
    """

    current: frozenset[str]
    previous: frozenset[str]
    everybody: bool = False


def must_sign(old: Agreement, new: Agreement) -> Signers:
    """The members that must sign `new` because a change from `old` touches them.

    Everybody must where their shares of the history are used up: `hitoku.room.signing.signers` knows.

    A member without tables can be removed by the owners alone: it has nothing to protect.
    """
    touched = {name for change in changes(old, new) for name in change.touches}
    before = {m.name: m.key for m in old.members}
    after = {m.name: m.key for m in new.members}
    leaving = (touched & old.owners()) - set(after)
    rekeyed = {name for name in after if before.get(name, after[name]) != after[name]}
    return Signers(frozenset(touched & set(after)), frozenset(leaving | rekeyed))


class TableNames:
    """Whose each table name is, from version to version: a name never passes to who did not get it signed."""

    def __init__(self) -> None:
        self._owners: dict[str, tuple[str, str]] = {}  # table to its owner's name and key

    def taken(self, old: Agreement | None, new: Agreement) -> list[str]:
        """Take note of the next version. Returns what is wrong: names used again by somebody else."""
        keys = {m.name: m.key for m in new.members}
        before = {} if old is None else {m.name: m.key for m in old.members}
        for name, (owner, key) in self._owners.items():
            if owner in keys and before.get(owner) == key:  # it stayed, maybe with a new key
                self._owners[name] = (owner, keys[owner])
        found = []
        for table in new.tables:
            now = (table.owner, keys[table.owner])
            known = self._owners.get(table.name, now)
            stays = old is not None and old.table(table.name) is not None
            if known != now and not stays:
                found.append(
                    f"table name {table.name!r} was another owner's in an earlier version, whose file may "
                    "still be at a host: choose another name"
                )
            else:
                self._owners[table.name] = now
        return found


def _members(old: Agreement, new: Agreement, owners: frozenset[str]) -> list[Change]:
    found = []
    for name in _union([m.name for m in old.members], [m.name for m in new.members]):
        before, after = old.member(name), new.member(name)
        touches = owners | {name}
        if before is None or after is None:
            found.append(_change(f"members.{name}", _dump(before), _dump(after), touches))
            continue
        if before.key != after.key:
            found.append(_change(f"members.{name}.key", before.key, after.key, touches))
        if set(before.abilities) != set(after.abilities):
            found.append(
                _change(
                    f"members.{name}.abilities",
                    sorted(before.abilities),
                    sorted(after.abilities),
                    touches,
                )
            )
    return found


def _tables(old: Agreement, new: Agreement) -> list[Change]:
    found = []
    for name in _union([t.name for t in old.tables], [t.name for t in new.tables]):
        before, after = old.table(name), new.table(name)
        touches = {t.owner for t in (before, after) if t is not None}
        if before is None or after is None:
            found.append(_change(f"tables.{name}", _dump(before), _dump(after), touches))
            continue
        if before.owner != after.owner:
            found.append(_change(f"tables.{name}.owner", before.owner, after.owner, touches))
        for column in _union([c.name for c in before.columns], [c.name for c in after.columns]):
            pair = _dump(before.column(column)), _dump(after.column(column))
            if pair[0] != pair[1]:
                found.append(_change(f"tables.{name}.columns.{column}", *pair, touches))
        if before.access_budgets != after.access_budgets:
            was, now = ([_dump(b) for b in t.access_budgets] for t in (before, after))
            found.append(_change(f"tables.{name}.access_budgets", was, now, touches))
        if _order(before) != _order(after):
            found.append(_change(f"tables.{name}.columns", _order(before), _order(after), touches))
        rules = _dump(before.rule), _dump(after.rule)
        if rules[0] != rules[1]:
            found += _rule(f"tables.{name}.rule", *rules, touches)
    return found


def _templates(old: Agreement, new: Agreement, owners: frozenset[str]) -> list[Change]:
    found = []
    for name in _union([t.name for t in old.templates], [t.name for t in new.templates]):
        before, after = _dump(old.template(name)), _dump(new.template(name))
        if before != after:
            found.append(_change(f"templates.{name}", before, after, owners))
    return found


def _models(old: Agreement, new: Agreement) -> list[Change]:
    found = []
    for name in _union([m.name for m in old.models], [m.name for m in new.models]):
        before, after = old.model(name), new.model(name)
        if before != after:
            touches = {m.owner for m in (before, after) if m is not None}
            found.append(_change(f"models.{name}", _dump(before), _dump(after), touches))
    return found


def _budgets(old: Agreement, new: Agreement) -> list[Change]:
    found = []
    pairs = [(b.owner, b.unit) for b in old.budgets]
    for owner, unit in dict.fromkeys((*pairs, *((b.owner, b.unit) for b in new.budgets))):
        before, after = _dump(old.budget(owner, unit)), _dump(new.budget(owner, unit))
        if before != after:
            found.append(_change(f"budgets.{owner}.{unit}", before, after, {owner}))
    return found


def _whole(part: Any) -> dict[str, Any]:
    """All fields: the usual values, which a dump leaves out, too."""
    return {name: getattr(part, name) for name in type(part).model_fields}


def _order(table: Table) -> list[str]:
    return [c.name for c in table.columns]


def _rule(path: str, old: Any, new: Any, touches: set[str]) -> list[Change]:
    if old is None or new is None or old["type"] != new["type"]:
        return [_change(path, old, new, touches)]
    fields = _union(list(old), list(new))
    return [
        _change(f"{path}.{field}", old.get(field), new.get(field), touches)
        for field in fields
        if old.get(field) != new.get(field)
    ]


def _change(path: str, before: Any, after: Any, touches: set[str] | frozenset[str]) -> Change:
    kind = "added" if before is None else "removed" if after is None else "changed"
    return Change(path, kind, before, after, tuple(sorted(touches)))


def _dump(part: Any) -> Any:
    return None if part is None else part.model_dump(mode="json", by_alias=True)


def _union(first: list[str], second: list[str]) -> list[str]:
    return [*first, *(name for name in second if name not in first)]
