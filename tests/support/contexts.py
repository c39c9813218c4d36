"""Payloads for tests: contexts of a dozen small Python functions, and as many more of their kind as are asked for.

The functions are real code; their signatures, docstrings, calls and callers are read from it. The same arguments give
the same payload each time.
"""

from __future__ import annotations

import ast
import random
from typing import Any

# Of everything that is left to chance in the tests; printed at the start of a run.
SEED = 20_261_121

FILE_PATH = "shop/orders.py"

SHOP = '''\
def parse_price(text):
    """Read a price such as "12.50 EUR" into cents and a currency."""
    amount, _, currency = text.strip().partition(" ")
    euros, _, cents = amount.partition(".")
    if not currency.isalpha():
        raise ValueError("a price needs its currency")
    return int(euros) * 100 + int(cents.ljust(2, "0")[:2] or 0), currency.upper()


def format_price(cents: int, currency: str = "EUR") -> str:
    return f"{cents // 100}.{cents % 100:02d} {currency}"


def load_catalogue(path):
    """Load the articles of a shop, by their number."""
    with open(path, encoding="utf-8") as file:
        rows = [line.rstrip("\\n").split(";") for line in file if line.strip()]
    return {number: (title, parse_price(price)[0]) for number, title, price in rows}


def find_article(catalogue, number):
    """Return an article's title and price.

    Raises KeyError, with the nearest number there is, where the catalogue does not have it.
    """
    try:
        return catalogue[number]
    except KeyError:
        nearest = closest_number(catalogue, number)
        raise KeyError(f"no article {number}; did you mean {nearest}?") from None


def closest_number(catalogue, number):
    def distance(other):
        return sum(a != b for a, b in zip(number, other)) + abs(len(number) - len(other))

    return min(catalogue, key=distance, default=None)


def line_total(catalogue, line):
    number, pieces = line
    _, cents = find_article(catalogue, number)
    return cents * pieces


def order_total(catalogue, lines, discount=0.0):
    """Sum an order up, less its discount, rounded half up to whole cents."""
    cents = sum(line_total(catalogue, line) for line in lines)
    return int(cents * (1 - check_discount(discount)) + 0.5)


def check_discount(discount):
    if not 0 <= discount < 1:
        raise ValueError("a discount is a share of the price: 0 to 1")
    return discount


async def reserve(stock, lines, *, timeout_s: float = 5.0):
    """Take the pieces of an order out of the stock, all of them or none."""
    taken = []
    async with stock.lock(timeout_s):
        for number, pieces in lines:
            if stock.pieces(number) < pieces:
                await release(stock, taken)
                return False
            await stock.take(number, pieces)
            taken.append((number, pieces))
    return True


async def release(stock, lines):
    for number, pieces in lines:
        await stock.put_back(number, pieces)


async def place_order(shop, customer, lines, discount=0.0):
    """Reserve, charge and confirm an order; what was reserved is released where the charge fails."""
    if not await reserve(shop.stock, lines):
        raise LookupError("not enough pieces in stock")
    total = order_total(shop.catalogue, lines, discount)
    try:
        receipt = await shop.bank.charge(customer, total)
    except OSError:
        await release(shop.stock, lines)
        raise
    return render_receipt(shop.catalogue, lines, total, receipt)


def render_receipt(catalogue, lines, total, receipt):
    rows = [f"{pieces:>3} x {find_article(catalogue, number)[0]}" for number, pieces in lines]
    rows.append(f"total {format_price(total)}, receipt {receipt}")
    return "\\n".join(rows)
'''


def _called(function: ast.AST) -> list[str]:
    targets = [node.func for node in ast.walk(function) if isinstance(node, ast.Call)]
    names = [target.attr if isinstance(target, ast.Attribute) else ast.unparse(target) for target in targets]
    return sorted(set(names))


def _signature(function: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    keyword = "async def" if isinstance(function, ast.AsyncFunctionDef) else "def"
    returns = f" -> {ast.unparse(function.returns)}" if function.returns else ""
    return f"{keyword} {function.name}({ast.unparse(function.args)}){returns}:"


def _read_shop() -> dict[str, dict[str, Any]]:
    functions = [node for node in ast.parse(SHOP).body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return {
        function.name: {
            "signature": _signature(function),
            "calls": _called(function),
            "called_by": [other.name for other in functions if function.name in _called(other)],
            "docstring": ast.get_docstring(function),
            "source_code": ast.get_source_segment(SHOP, function),
        }
        for function in functions
    }


_SHOP = _read_shop()
FUNCTIONS = tuple(_SHOP)


def context(name: str, /, **fields: Any) -> dict[str, Any]:
    """The context of one of FUNCTIONS, or of a symbol of another name of which only the required facts are known."""
    facts = {
        "symbol_id": f"{FILE_PATH}:{name}",
        "name": name,
        "kind": "function",
        "language": "python",
        "file_path": FILE_PATH,
        **_SHOP.get(name, {}),
    }
    return {key: list(value) if isinstance(value, list) else value for key, value in {**facts, **fields}.items()}


def item(name: str, /, **fields: Any) -> dict[str, Any]:
    """An item of a payload's `symbols`; `fields` are those of the context."""
    facts = context(name, **fields)
    return {"symbol_id": facts["symbol_id"], "context": facts}


def payload(count: int, **options: Any) -> dict[str, Any]:
    """A job's input with so many different symbols, their centralities left to chance."""
    chance = random.Random(SEED)  # noqa: S311 - no secret
    symbols = [_nth_item(place, round(chance.random(), 4)) for place in range(count)]
    return {"symbols": symbols, "options": options} if options else {"symbols": symbols}


def _nth_item(place: int, centrality: float) -> dict[str, Any]:
    turn, which = divmod(place, len(FUNCTIONS))
    model = FUNCTIONS[which]
    if turn == 0:
        return item(model, centrality=centrality)
    name = f"{model}_{turn}"
    facts = _SHOP[model]
    texts = {key: value.replace(model, name) for key, value in facts.items() if isinstance(value, str)}
    return item(name, **{**facts, **texts}, centrality=centrality)
