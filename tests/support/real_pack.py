"""A pack that the builder has made of a small repository in five languages, offline."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from doctown.build import Caller, run_build
from doctown.options import BuildOptions
from generation import Settings

FILES: Mapping[str, str | bytes] = {
    "README.md": "# Shop\n\nA shop of *small* things, with [links](https://example.com).\n\nMore of it.\n",
    "src/store.py": '''"""Keeps items."""
import json

from src.paths import path_of, read_text

LIMIT = 10


class Base:
    """What all stores share."""

    def load(self):
        """Return the items."""
        raise NotImplementedError


class Store(Base):
    """A store of items. It is small."""

    def __init__(self, path):
        self._path = path

    @property
    def limit(self):
        return LIMIT

    @limit.setter
    def limit(self, value):
        self._limit = check(value)

    def load(self):
        """Return the items."""
        return json.loads(read_text(path_of(self._path)))

    def save(self, items, writer):
        """Write the items, and log it."""
        writer.publish(items)
        return json.dumps(items)


def check(value):
    """Refuse what is too much."""
    return Store(value).load() if value > LIMIT else value
''',
    "src/paths.py": '''"""Where things are."""


def path_of(name):
    """Return the path of a name \U0001f600 <script>alert(1)</script>."""
    return f"/data/{name}"


def read_text(path):
    return open(path).read()
''',
    "src/__init__.py": "",
    "src/broken.py": "def broken(:\n    return (\n",
    "web/röuter [id].ts": """/** Routes requests. */
export class Router {
  constructor(private base: string) {}
  /** Finds the way. */
  route(path: string): string { return join(this.base, path) }
}
export function join(one: string, other: string): string { return one + other }
export function publish(items: string[]): Router { return new Router(items[0]) }
""",
    "web/view.js": "export const render = (items) => items.map(show)\nfunction show(one) { return `<i>${one}</i>` }\n",
    "cmd/main.go": """package main

// Shape has an area.
type Shape interface{ Area() float64 }

// Square is a Shape.
type Square struct{ side float64 }

// Area returns the area.
func (s Square) Area() float64 { return square(s.side) }

func square(x float64) float64 { return x * x }

func main() { println(Square{2}.Area()) }
""",
    "core/src/lib.rs": """//! The core.
pub trait Area { fn area(&self) -> f64; }
/// A circle.
pub struct Circle { pub radius: f64 }
impl Area for Circle { fn area(&self) -> f64 { square(self.radius) } }
fn square(x: f64) -> f64 { x * x }
""",
    "tests/test_store.py": "from src.store import check\n\n\ndef test_check():\n    assert check(3) == 3\n",
    "logo.png": b"\x89PNG\r\n\x1a\n\0\0",
    "LICENSE": "MIT License\n\nPermission is hereby granted, free of charge, to any person obtaining a copy\n",
}


def build_real_pack(folder: Path) -> Path:
    """Write the repository and build its pack below `folder`; return the path of the pack."""
    for name, text in FILES.items():
        path = folder / "shop" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    options = BuildOptions(str(folder / "shop"), folder / "output", embeddings="words")
    settings = Settings.from_env({"MODEL_NAME": "offline"})
    return run_build(options, settings, None, Caller(lambda _event: None, lambda _question: True, os.environ)).pack.path
