# SPDX-License-Identifier: Apache-2.0
"""The rule editor: a form or text, live verdicts on the owner's examples, and saving by a proposal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from hitoku import limits
from hitoku.console.api.busy import PEERS
from hitoku.console.context import Context
from hitoku.console.guard import need
from hitoku.console.posted import posted
from hitoku.console.render import context_of, render
from hitoku.console.users import May, User
from hitoku.console.work import rules as work
from hitoku.console.work.budgets import account_of
from hitoku.console.work.proposing import put
from hitoku.console.work.rule_form import (
    Fields,
    data_of_form,
    data_of_rule,
    data_of_text,
    problems_of,
    text_of_data,
)
from hitoku.console.work.suggesting import starting_point, suggested
from hitoku.console.work.tables import own_table
from hitoku.errors import HitokuError, InputError, RoomError
from hitoku.questions import template_hash
from hitoku.room.agreement import Budget
from hitoku.room.clean_rooms import Note, read_rule
from hitoku.room.rules import AggregateFunction, CustomRule, ScalarFunction

router = APIRouter()

_Owner = Annotated[User, Depends(need(May.TABLES))]
_Posted = Annotated[Fields, Depends(posted)]
_KINDS: Final = ("none", "aggregation", "list", "custom")
_VIEWS: Final = ("form", "yaml", "json", "aws")


@router.get("/rooms/{room}/tables/{table}/rule")
def edit(request: Request, room: str, table: str, user: _Owner) -> HTMLResponse:
    """The rule in force, or the draft that was kept, ready to be changed."""
    editor = _Editor(request, user, room, table)
    kept = work.draft(editor.context, editor.room, table)
    data = data_of_rule(editor.table.rule) if kept is None else kept
    return editor.page(data, kept=kept is not None)


@router.post("/rooms/{room}/tables/{table}/rule", dependencies=PEERS)
def act(request: Request, room: str, table: str, user: _Owner, form: _Posted) -> Response:
    """Whatever a button of the editor does; the draft in the form stays."""
    editor = _Editor(request, user, room, table)
    editor.form = form
    action, _, rest = form.get("action", "try").partition(":")
    try:
        data = editor.data()
    except InputError as error:
        return editor.page({}, problems=[str(error)], text=form.get("text"))
    match action:
        case "view" if rest in _VIEWS:
            return editor.page(data, view=rest)
        case "kind" if rest in _KINDS:
            same = data.get("type", "none") == rest
            members = work.askers(editor.agreement)
            return editor.page(
                data if same else dict(starting_point(editor.table, rest, members)), view="form"
            )
        case "import":
            return editor.imported()
        case "add" | "drop" | "flip" | "suggest":
            return editor.examples(data, action, rest)
        case "keep" | "forget":
            work.keep_draft(editor.context, editor.room, table, data if action == "keep" else None)
            if action == "forget":
                return RedirectResponse(f"/rooms/{editor.room.id}/tables/{quote(table, safe='')}/rule", 303)
            return editor.page(data, kept=True, done="kept")
        case "propose":
            return editor.proposed(data)
    return editor.page(data)


@router.post("/rooms/{room}/tables/{table}/rule/try")
def tried(request: Request, room: str, table: str, user: _Owner, form: _Posted) -> HTMLResponse:
    """The verdicts alone: what the page shows anew while the form changes."""
    editor = _Editor(request, user, room, table)
    editor.form = form
    try:
        data, problems = editor.data(), None
    except InputError as error:
        data, problems = {}, [str(error)]
    return render(request, "rules/verdicts.html", user, room=editor.room, **editor.verdicts(data, problems))


class _Editor:
    """One request of the editor."""

    def __init__(self, request: Request, user: User, room: str, table: str) -> None:
        self.request, self.user = request, user
        self.context: Context = context_of(request)
        self.room = self.context.room(user, room)
        self.table = own_table(self.context, self.room, table)
        self.agreement = self.room.agreement
        self.form = Fields(())

    def data(self) -> dict[str, Any]:
        """The draft in the form.

        Raises:
            InputError: its text is no YAML or JSON.
        """
        if self.form.get("view") in {"yaml", "json"}:
            return data_of_text(self.form.get("text"))
        if self.form.get("view") == "aws":
            return data_of_text(self.form.get("before"))
        return data_of_form(self.form, self.table)

    def account(self, rule: Any) -> Budget | None:
        """The account that the draft needs and the room has not: as the form says.

        Raises:
            InputError: the form's account cannot be.
        """
        privacy = rule.differential_privacy if isinstance(rule, CustomRule) else None
        if privacy is None or self.agreement.budget(self.context.me, privacy.account) is not None:
            return None
        fields = {
            "unit": privacy.account,
            "epsilon": self.form.get("account-epsilon") or "3",
            "delta": self.form.get("account-delta"),
            "noise": self.form.get("account-noise"),
            "refresh": self.form.get("account-refresh"),
        }
        return account_of(fields, self.context.me)

    def asker(self) -> str:
        """Who would ask: as the form says, else another member before this one."""
        able = work.askers(self.agreement)
        wanted = self.form.get("asker")
        if wanted in able:
            return wanted
        return next((name for name in able if name != self.context.me), able[0] if able else "")

    def verdicts(self, data: Mapping[str, Any], problems: list[str] | None = None) -> dict[str, Any]:
        """What the panel of examples shows."""
        rule, wrong = problems_of(data)
        wrong = wrong if problems is None else problems
        tried: tuple[work.Tried, ...] = ()
        kept = work.examples(self.context, self.room, self.table.name)
        asker = self.asker()
        if not wrong and asker:
            try:
                account = self.account(rule)
                draft = work.draft_room(self.agreement, self.table, rule, account)
                before = work.draft_room(self.agreement, self.table, self.table.rule)
                tried = work.try_all(kept, draft, asker, before)
            except InputError as error:
                wrong = [str(error)]
        return {
            "problems": wrong,
            "tried": tried,
            "examples": kept,
            "asker": asker,
            "askers": work.askers(self.agreement),
            "right": sum(one.as_wanted for one in tried),
            "changed": sum(one.changes for one in tried),
        }

    def page(
        self,
        data: dict[str, Any],
        *,
        view: str | None = None,
        text: str | None = None,
        problems: list[str] | None = None,
        kept: bool = False,
        unseen: bool = False,
        done: str = "",
        error: HitokuError | None = None,
        notes: tuple[Note, ...] | None = None,
    ) -> HTMLResponse:
        """The whole page with a draft in it."""
        view = view or self.form.get("view") or "form"
        if text is None:
            text = text_of_data(data, as_json=view == "json")
        rule, _ = problems_of(data)
        privacy = rule.differential_privacy if isinstance(rule, CustomRule) else None
        unit = None if privacy is None else privacy.account
        return render(
            self.request,
            "rules/rule.html",
            self.user,
            status=200 if error is None else 400,
            room=self.room,
            table=self.table,
            rule=data,
            kind=data.get("type", "none") if data.get("type") in _KINDS else "none",
            kinds=_KINDS,
            view=view if view in _VIEWS else "form",
            views=_VIEWS,
            text=text,
            before=text_of_data(data),
            form=self.form,
            functions=[f.value for f in AggregateFunction],
            scalars=[f.value for f in ScalarFunction],
            members=[m.name for m in self.agreement.members],
            templates=[(template_hash(t), t.name) for t in self.agreement.templates],
            unit=unit,
            account=None if unit is None else self.agreement.budget(self.context.me, unit),
            kept=kept,
            unseen=unseen,
            done=done,
            error=error,
            notes=notes,
            changes_nothing=rule is not None and rule == self.table.rule,
            most=limits.MAX_THRESHOLD,
            **self.verdicts(data, problems),
        )

    def examples(self, data: dict[str, Any], action: str, rest: str) -> Response:
        """Add, remove or turn round an example; the draft stays in the form."""
        known = list(work.examples(self.context, self.room, self.table.name))
        error = None
        if action == "suggest":
            rule, _ = problems_of(data)
            known += suggested(self.agreement, self.table, rule)
        elif action == "add":
            try:
                known.append(work.example_of(self.form.get("new-sql"), self.form.get("new-wanted")))
            except InputError as wrong:
                error = wrong
        elif rest.isdecimal() and int(rest[:6]) < len(known):
            one = known.pop(int(rest))
            if action == "flip":
                opposite = "refuse" if one.wanted == "accept" else "accept"
                known.insert(int(rest), work.example_of(one.sql, opposite))
        if error is None:
            work.keep_examples(self.context, self.room, self.table.name, known)
        return self.page(data, error=error)

    def imported(self) -> Response:
        """Take over a rule of AWS Clean Rooms into the draft."""
        hashes = {
            name: hash_ for hash_, name in ((template_hash(t), t.name) for t in self.agreement.templates)
        }
        named = _pairs(self.form.get("aws-templates"))
        known = {arn: hashes[name] for arn, name in named.items() if name in hashes}
        try:
            rule, notes = read_rule(
                self.form.get("aws"), members=_pairs(self.form.get("aws-accounts")), templates=known
            )
        except InputError as error:
            return self.page(self.data(), view="aws", error=error)
        return self.page(data_of_rule(rule), view="form", notes=notes)

    def proposed(self, data: dict[str, Any]) -> Response:
        """Save: put the rule to the room."""
        rule, wrong = problems_of(data)
        if wrong:
            return self.page(data)
        try:
            if rule == self.table.rule:
                raise RoomError("this is the rule in force already")
            account = self.account(rule)
            if account is not None and not self.form.get("account-epsilon"):
                return self.page(data, unseen=True)  # nobody signs an account whose figures were not shown
            work.draft_room(self.agreement, self.table, rule, account)
            change = work.change_of(self.agreement, self.table, rule, account)
            done = put(self.context, self.user, self.room, change, f"rule of table {self.table.name}")
        except (InputError, RoomError) as error:
            return self.page(data, error=error)
        work.keep_draft(self.context, self.room, self.table.name, None)
        where = f"/rooms/{self.room.id}/tables/{quote(self.table.name, safe='')}"
        return RedirectResponse(f"{where}?done={done}", 303)


def _pairs(text: str) -> dict[str, str]:
    """Lines ``name=of``."""
    lines = (line.strip().rpartition("=") for line in text.splitlines()[:200])
    return {name.strip(): of.strip() for name, equals, of in lines if equals and name.strip() and of.strip()}
