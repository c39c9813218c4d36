"""What each form of an expression (see doctown.parsing.records) evaluates to."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from doctown.graph import containers, members, signatures, types
from doctown.graph.values import NOTHING, Values, union

if TYPE_CHECKING:
    from doctown.graph.evaluate import Evaluator

Form: TypeAlias = tuple[Any, ...]


def _name(ev: "Evaluator", file: int, scope: int, at: int, expr: Form) -> Values:
    return ev.lookup(file, scope, at, expr[1])


def _attr(ev: "Evaluator", file: int, scope: int, at: int, expr: Form) -> Values:
    holders = ev.evaluate(file, scope, at, expr[1])
    if len(holders) == 1:
        return members.attribute(ev, holders[0], expr[2])
    return union(members.attribute(ev, holder, expr[2]) for holder in holders) if holders else NOTHING


def _call(ev: "Evaluator", file: int, _scope: int, _at: int, expr: Form) -> Values:
    return ev.result(file, expr[1])


def _item(ev: "Evaluator", file: int, scope: int, at: int, expr: Form) -> Values:
    held = ev.evaluate(file, scope, at, expr[1])
    return union(containers.item(ev, value, expr[2]) for value in held) if held else NOTHING


def _each(ev: "Evaluator", file: int, scope: int, at: int, expr: Form) -> Values:
    held = ev.evaluate(file, scope, at, expr[1])
    return union(containers.each(ev, value) for value in held) if held else NOTHING


def _enter(ev: "Evaluator", file: int, scope: int, at: int, expr: Form) -> Values:
    held = ev.evaluate(file, scope, at, expr[1])
    is_async = len(expr) > 2  # noqa: PLR2004 - tag, manager, "async"
    return union(containers.enter(ev, value, is_async=is_async) for value in held) if held else NOTHING


def _inner(ev: "Evaluator", file: int, scope: int, at: int, expr: Form) -> Values:
    held = ev.evaluate(file, scope, at, expr[1])
    return union(containers.inner(value) for value in held) if held else NOTHING


def _literal(_ev: "Evaluator", _file: int, _scope: int, _at: int, expr: Form) -> Values:
    return (("external_instance", expr[1]),)


def _container(ev: "Evaluator", file: int, scope: int, at: int, expr: Form) -> Values:
    return (ev.container(file, scope, at, expr),)


def _function(ev: "Evaluator", file: int, _scope: int, _at: int, expr: Form) -> Values:
    return ev.values_of_scope(file, expr[1])


def _any(ev: "Evaluator", file: int, scope: int, at: int, expr: Form) -> Values:
    return union(ev.evaluate(file, scope, at, part) for part in expr[1])


def _typed(ev: "Evaluator", file: int, scope: int, at: int, expr: Form) -> Values:
    return types.instances(ev, file, scope, at, expr[1])


def _self(ev: "Evaluator", file: int, scope: int, _at: int, _expr: Form) -> Values:
    return tuple(("instance", value[1], value[2]) for value in ev.class_around(file, scope))


def _super(ev: "Evaluator", file: int, scope: int, _at: int, _expr: Form) -> Values:
    return tuple(
        ("super", value[1], value[2], ("instance", value[1], value[2])) for value in ev.class_around(file, scope)
    )


def _selftype(ev: "Evaluator", file: int, scope: int, _at: int, _expr: Form) -> Values:
    return ev.class_around(file, scope)


def _generic(ev: "Evaluator", file: int, scope: int, at: int, expr: Form) -> Values:
    return ev.evaluate(file, scope, at, expr[1])


def _in(ev: "Evaluator", file: int, _scope: int, at: int, expr: Form) -> Values:
    return ev.evaluate(file, expr[1], at, expr[2])


def _import(ev: "Evaluator", file: int, _scope: int, _at: int, expr: Form) -> Values:
    return ev.module(file, expr[1])


EVALUATE: dict[str, Callable[..., Values]] = {
    "name": _name,
    "attr": _attr,
    "call": _call,
    "item": _item,
    "each": _each,
    "enter": _enter,
    "inner": _inner,
    "literal": _literal,
    "list": _container,
    "dict": _container,
    "function": _function,
    "any": _any,
    "typed": _typed,
    "self": _self,
    "super": _super,
    "selftype": _selftype,
    "generic": _generic,
    "in": _in,
    "import": _import,
    "typeof": signatures.typeof,
    "parameter": signatures.parameter,
    "argument": signatures.argument,
    "callable": signatures.function_type,
    "typevar": signatures.nothing,
}
