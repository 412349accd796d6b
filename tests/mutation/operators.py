# SPDX-License-Identifier: Apache-2.0
"""Mutants of a module: one small change each, of the kinds that a slip of the hand or of the mind makes.

Left alone: docstrings, ``__all__``, type hints, imports, decorators, Protocols, and the words of errors.
A mutant changes the syntax tree in place, so it is applied once, in a process of its own.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

__all__ = ["Mutant", "mutants"]

_COMPARISONS: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_ARITHMETIC: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Div,
    ast.Mod: ast.FloorDiv,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
    ast.Pow: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
_FUNCTIONS: Final = {"any": "all", "all": "any", "min": "max", "max": "min", "sorted": "list"}
_WHERE_OF_A_REFUSAL: Final = {"clause", "node", "span", "rule", "owner", "change"}
_ERRORS: Final = ("refuse", "Error", "Refusal")
_SHOWN: Final = 110

Put = Callable[[ast.AST | None], None]


@dataclass(slots=True)
class Mutant:
    """One change of one module.

    Attributes:
        module: its dotted name.
        line: where the changed node starts.
        statement: first and last line of the statement (or of its head) that is changed.
        source: the text of that line, stripped.
        change: what becomes of what, for people.
        at_import: whether the code runs when the module is imported, not when a function is called.
        apply: changes the module's tree.
        tree: that tree.
    """

    module: str
    line: int
    statement: tuple[int, int]
    source: str
    change: str
    at_import: bool
    apply: Callable[[], None]
    tree: ast.Module


def mutants(module: str, source: str) -> list[Mutant]:
    """All mutants of a module, in the order of its text, none twice.

    Args:
        module: its dotted name.
        source: its text.
    """
    tree = ast.parse(source)
    found = _Finder(module, source.splitlines(), tree, _looked_up(tree))
    found.block(tree.body)
    unique = {(m.line, m.change): m for m in reversed(found.made)}
    return sorted(unique.values(), key=lambda m: (m.line, m.change))


@dataclass(slots=True)
class _Finder:
    module: str
    lines: list[str]
    tree: ast.Module
    looked_up: set[int]
    made: list[Mutant] = field(default_factory=list)
    statement: tuple[int, int] = (1, 1)
    inside: bool = False  # a function
    error: bool = False  # the words of an error

    # --- statements ---

    def block(self, body: list[ast.stmt]) -> None:
        for place, statement in enumerate(body):
            if not _left_alone(statement):
                self.one(statement, body, place)

    def one(self, node: ast.stmt, body: list[ast.stmt], place: int) -> None:
        self.statement = _head(node)

        def put(new: ast.AST | None) -> None:
            assert isinstance(new, ast.stmt)
            body[place] = new

        if _deletable(node, body):
            self.add(node, put, ast.Pass(), "nothing")
        match node:
            case ast.FunctionDef():
                self.children_of(node.args)
                before, self.inside = self.inside, True
                self.block(node.body)
                self.inside = before
                return
            case ast.ClassDef():
                self.block(node.body)
                return
            case ast.If() | ast.While():
                for forced in (True, False):
                    if not (isinstance(node, ast.While) and forced):
                        self.add(node.test, _putter(node, "test"), ast.Constant(forced), f"if {forced}")
            case ast.Return(value=value) if value is not None and not _none(value):
                self.add(value, _putter(node, "value"), ast.Constant(None), "return None")
            case ast.Try():
                self.handlers(node)
            case ast.Match():
                self.expression(node.subject, _putter(node, "subject"))
                self.cases(node)
                return
            case ast.AugAssign(op=op) if type(op) in _ARITHMETIC:
                self.add(node, put, _with(node, op=_ARITHMETIC[type(op)]()))
        self.children_of(node)
        for name in ("body", "orelse", "finalbody"):
            self.block(getattr(node, name, []))

    def handlers(self, node: ast.Try) -> None:
        for handler in node.handlers:
            self.statement = (handler.lineno, handler.body[0].lineno)
            self.add(handler, _putter(handler, "body", whole=True), ast.Raise(), "the error goes on")
            if handler.type is not None:
                self.expression(handler.type, _putter(handler, "type"))
            self.block(handler.body)

    def cases(self, node: ast.Match) -> None:
        for place, case in enumerate(node.cases):
            self.statement = (case.pattern.lineno, case.body[0].lineno)
            if len(node.cases) > 1:
                never = _with(case, guard=ast.Constant(False))
                self.add(case.pattern, _putter(node.cases, place), never, "never", shown=case)
            if case.guard is not None:
                self.add(case.guard, _putter(case, "guard"), ast.Constant(True), "always")
                self.expression(case.guard, _putter(case, "guard"))
            if isinstance(case.pattern, ast.MatchOr):
                self.without_each(case.pattern, case.pattern.patterns)
            self.block(case.body)

    # --- expressions ---

    def children_of(self, node: ast.AST) -> None:
        """Every expression under a node, hints and nested statements left out."""
        for name, value in ast.iter_fields(node):
            if name in {"annotation", "returns", "decorator_list", "type_params", "cases", "handlers"}:
                continue
            for place, child in enumerate(value) if isinstance(value, list) else ((None, value),):
                put = _putter(node, name) if place is None else _putter(value, place)
                if isinstance(child, ast.expr):
                    self.expression(child, put)
                elif isinstance(child, (ast.keyword, ast.comprehension, ast.withitem)):
                    self.children_of(child)

    def expression(self, node: ast.expr, put: Put) -> None:
        before = self.error
        match node:
            case ast.Compare():
                self.compared(node, put)
            case ast.BoolOp():
                other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
                self.add(node, put, _with(node, op=other))
                self.without_each(node, node.values)
            case ast.UnaryOp(op=ast.Not() | ast.USub()):
                self.add(node, put, node.operand)
            case ast.BinOp(op=op) if type(op) in _ARITHMETIC and not _text(node.left) | _text(node.right):
                self.add(node, put, _with(node, op=_ARITHMETIC[type(op)]()))
            case ast.IfExp():
                self.add(node, put, node.body)
                self.add(node, put, node.orelse)
            case ast.Constant():
                self.constant(node, put)
            case ast.Call():
                self.called(node, put)
                self.error = before or _makes_error(node)
            case ast.Subscript(slice=ast.Slice() as cut):
                for end in ("lower", "upper"):
                    if getattr(cut, end) is not None:
                        self.add(node, _putter(cut, end), None, f"no {end} bound")
            case ast.Set() | ast.List() | ast.Tuple() if isinstance(
                getattr(node, "ctx", None), ast.Load | None
            ):
                if isinstance(node, ast.Set) or self.membership(node):
                    self.without_each(node, node.elts)
            case ast.Dict() if len(node.keys) > 1:
                for place, key in enumerate(node.keys):
                    if key is not None:
                        less = ast.Dict(
                            node.keys[:place] + node.keys[place + 1 :],
                            node.values[:place] + node.values[place + 1 :],
                        )
                        self.add(key, put, less, "no such key")
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                for part in node.generators:
                    for place, test in enumerate(part.ifs):
                        self.add(test, _putter(part.ifs, place), ast.Constant(True), "all of them")
        if not isinstance(node, ast.JoinedStr):
            self.children_of(node)
        self.error = before

    def membership(self, node: ast.expr) -> bool:
        """Whether something is looked up in it: a constant of the module, or in `in`, isinstance."""
        return not self.inside or id(node) in self.looked_up

    def compared(self, node: ast.Compare, put: Put) -> None:
        for place, op in enumerate(node.ops):
            ops = list(node.ops)
            ops[place] = _COMPARISONS[type(op)]()
            self.add(node, put, _with(node, ops=ops))

    def constant(self, node: ast.Constant, put: Put) -> None:
        value = node.value
        if isinstance(value, bool):
            self.add(node, put, ast.Constant(not value))
        elif isinstance(value, (int, float)):
            self.add(node, put, ast.Constant(value + 1))
            self.add(node, put, ast.Constant(value - 1))
        elif isinstance(value, str) and not self.error and not any(c.isspace() for c in value):
            self.add(node, put, ast.Constant(value + "_mutant" if value else "mutant"))

    def called(self, node: ast.Call, put: Put) -> None:
        name = _called_name(node)
        plain = isinstance(node.func, ast.Name) and not (name == "sorted" and node.keywords)
        if plain and name in _FUNCTIONS:
            self.add(node, put, _with(node, func=ast.Name(_FUNCTIONS[name], ast.Load())))
        if name in {"isinstance", "getattr", "range", "cast"}:
            return
        for place in range(len(node.args) - 1):
            pair = node.args[place : place + 2]
            if not any(isinstance(part, (ast.Starred, ast.Lambda)) for part in pair):
                swapped = [*node.args[:place], pair[1], pair[0], *node.args[place + 2 :]]
                self.add(node, put, _with(node, args=swapped), "arguments swapped")
        for place, keyword in enumerate(node.keywords):
            words = _makes_error(node) and keyword.arg not in _WHERE_OF_A_REFUSAL
            if keyword.arg is not None and not words:
                less = node.keywords[:place] + node.keywords[place + 1 :]
                self.add(keyword, put, _with(node, keywords=less), "left out")

    def without_each(self, node: ast.AST, parts: list[ast.expr] | list[ast.pattern]) -> None:
        """The same without one of its parts."""
        for place, part in enumerate(parts) if len(parts) > 1 else ():
            self.add(part, _remover(parts, place), None, "left out", shown=part)

    # --- the list ---

    def add(
        self, node: ast.AST, put: Put, new: ast.AST | None, words: str = "", shown: ast.AST | None = None
    ) -> None:
        line: int = getattr(node, "lineno", self.statement[0])
        if new is not None:
            ast.copy_location(new, node)
        after = words or (ast.unparse(new) if new is not None else "nothing")
        change = f"{_short(ast.unparse(shown or node))} -> {_short(after)}"
        tree = self.tree

        def apply() -> None:
            put(new)
            ast.fix_missing_locations(tree)

        self.made.append(
            Mutant(
                self.module,
                line,
                self.statement,
                self.lines[line - 1].strip(),
                change,
                not self.inside,
                apply,
                tree,
            )
        )


def _looked_up(tree: ast.Module) -> set[int]:
    """The nodes that something is looked up in, or that are gone through one by one."""
    found: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            found |= {id(c) for c in node.comparators}
        elif isinstance(node, ast.Call) and _called_name(node) == "isinstance" and len(node.args) == 2:
            found.add(id(node.args[1]))
        elif isinstance(node, (ast.For, ast.comprehension)):
            found.add(id(node.iter))
        elif isinstance(node, ast.ExceptHandler) and node.type is not None:
            found.add(id(node.type))
    return found


def _putter(holder: Any, place: str | int, whole: bool = False) -> Put:
    """Puts a node into a field of another, or into a list."""

    def put(new: ast.AST | None) -> None:
        if isinstance(place, int):
            holder[place] = new
        else:
            setattr(holder, place, [new] if whole else new)

    return put


def _remover(parts: list[ast.expr] | list[ast.pattern], place: int) -> Put:
    def put(new: ast.AST | None) -> None:
        del parts[place]

    return put


def _with(node: ast.AST, **fields: object) -> ast.AST:
    """A node with some of its fields changed; the others are shared with the original."""
    made = type(node)(**{**dict(ast.iter_fields(node)), **fields})
    return ast.copy_location(made, node)


def _left_alone(node: ast.stmt) -> bool:
    match node:
        case ast.Import() | ast.ImportFrom() | ast.Pass() | ast.Delete() | ast.Global() | ast.Nonlocal():
            return True
        case ast.Expr(value=ast.Constant()):
            return True
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
        case (
            ast.Assign(targets=[ast.Name(id="__all__")]) | ast.Assign(value=ast.Subscript(slice=ast.Tuple()))
        ):
            return True
        case ast.Assert():
            return True
        case ast.AnnAssign(value=None):
            return True
        case ast.ClassDef(bases=bases):
            return any(isinstance(base, ast.Name) and base.id == "Protocol" for base in bases)
    return False


def _deletable(node: ast.stmt, body: list[ast.stmt]) -> bool:
    """Whether to leave the statement out says something: it raises, calls, or changes what exists."""
    match node:
        case ast.Raise() | ast.Continue() | ast.Break():
            return len(body) > 1  # where it is all of an `if`, that is forced to False
        case ast.Return():
            return node is not body[-1]  # else it is `return None`, which has its own mutant
        case ast.Expr() | ast.AugAssign():
            return True
        case ast.Assign(targets=targets):
            return all(isinstance(target, (ast.Attribute, ast.Subscript)) for target in targets)
    return False


def _head(node: ast.stmt) -> tuple[int, int]:
    """The lines that run when the statement is reached: of a compound one, those before its body."""
    body = getattr(node, "body", None) or getattr(node, "cases", None)
    last = node.end_lineno or node.lineno
    if not body:
        return node.lineno, last
    first = body[0].pattern if isinstance(body[0], ast.match_case) else body[0]
    return node.lineno, max(node.lineno, first.lineno - 1)


def _called_name(node: ast.Call) -> str:
    match node.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def _makes_error(node: ast.Call) -> bool:
    return _called_name(node).endswith(_ERRORS) or _called_name(node) in {"_refusal", "_unequal"}


def _text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"
