"""A small repository in several languages, and its pack: built for real, without a model."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from doctown.build import Caller, run_build
from doctown.docpack import Pack, open_pack
from doctown.options import BuildOptions
from generation import Settings
from tests.doctown.repository.repositories import git
from tests.doctown.test_analysis import write

README = """# Letterpress

[![build](https://example.org/badge.svg)](https://example.org)

Letterpress keeps orders of printed letters, and prices them.

## More
"""
SOURCES: dict[str, str | bytes] = {
    "README.md": README,
    "LICENSE": "MIT License\n\nPermission is hereby granted, free of charge, to any person obtaining a copy\n",
    "press/store.py": '''"""Keeps orders on disk."""
import json

from press.text import slugify, split_words


class Store:
    """Keeps what has a name. Subclasses say where."""

    def load_order(self, name):
        """Return the order of this name."""
        return json.loads(self.read_text(slugify(name)))

    def read_text(self, key):
        raise NotImplementedError


class FileStore(Store):
    """Keeps orders as files of a folder."""

    def __init__(self, folder):
        self.folder = folder

    def read_text(self, key):
        """Return the text of the file of this key."""
        return (self.folder / key).read_text()


class CachedFileStore(FileStore):
    def read_text(self, key):
        return super().read_text(key)


def open_store(folder) -> FileStore:
    """Open the store of a folder."""
    return CachedFileStore(folder)


def import_orders(folder, source):
    store = open_store(folder)
    for line in source:
        yield store.load_order(" ".join(split_words(line)))
        source.postpone_delivery(line)
        source.unheard_of(line)
''',
    "press/text.py": '''"""Works on texts."""


def slugify(title: str, separator: str = "-") -> str:
    """Return the title as a part of an address."""
    return separator.join(split_words(title))


def split_words(text: str) -> list[str]:
    """Return the words of a text in lower case."""
    return text.lower().split()
''',
    "press/price.py": '''from press.store import open_store
from press.text import split_words

PRICE_OF_WORD = 3


class PriceList:
    """Prices letters by their words."""

    def price_letter(self, text):
        """Return what a letter costs."""
        return PRICE_OF_WORD * len(split_words(text))

    def postpone_delivery(self, text):
        return self.price_letter(text) // 2


def total_price(folder, names):
    """Return what all orders of these names cost."""
    store, prices = open_store(folder), PriceList()
    return sum(prices.price_letter(store.load_order(name)) for name in names)
''',
    "web/orderClient.ts": """import { parseResponse } from './parse'

/** Asks the service for orders. */
export class OrderClient {
  constructor(private readonly base: string) {}
  async fetchOrder(name: string): Promise<string> {
    return parseResponse(await fetch(this.base + name))
  }
}
export async function showOrder(name: string): Promise<string> {
  return new OrderClient('/orders/').fetchOrder(name)
}
""",
    "web/parse.ts": "export function parseResponse(answer: Response): Promise<string> { return answer.text() }\n",
    "engine/src/lib.rs": """/// Sets type.
pub fn set_type(text: &str) -> usize { measure_line(text) }
fn measure_line(text: &str) -> usize { text.len() }
""",
    "tools/ship/main.go": """package main

// ShipOrder sends an order off.
func ShipOrder(name string) error {
	weighParcel(name)
	return weighParcel(name)
}

func weighParcel(name string) error { return nil }
""",
    "data/orders.csv": "name\n",
    "assets/logo.png": b"\x89PNG\r\n\x1a\n\x00\x00",
}
SLUGIFY, SPLIT_WORDS = "press/text.py::slugify", "press/text.py::split_words"
OPEN_STORE, FILE_STORE = "press/store.py::open_store", "press/store.py::FileStore"
IMPORT_ORDERS = "press/store.py::import_orders"
FAILED = "press/price.py::PriceList.postpone_delivery"
OFFLINE = Settings.from_env({"MODEL_NAME": "offline"})


def build_repository(folder: Path) -> Pack:
    """Write the repository to `folder/letterpress`, commit it, build its pack and let one symbol have failed."""
    repository = write(folder / "letterpress", SOURCES)
    git(repository, "init", "--quiet", "--initial-branch", "main")
    git(repository, "remote", "add", "origin", "https://github.com/o/letterpress.git")
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "--message", "Begin")
    return with_failure(build_pack(repository, folder / "packs"))


def build_pack(repository: Path, output: Path) -> Pack:
    """The pack of a folder, with summaries that no model has written."""
    options = BuildOptions(str(repository), output, embeddings="words")
    result = run_build(options, OFFLINE, None, Caller(lambda _: None, lambda _: True, os.environ))
    return open_pack(result.pack.path)


def with_failure(pack: Pack) -> Pack:
    """The pack, but the model did not answer for one symbol: without a model none fails."""
    failed: dict[str, Any] = {
        "documentation": None,
        "failure": {"failure": "timeout", "message": "The model did not answer."},
    }
    nodes: Any = [{**node, **failed} if node["id"] == FAILED else node for node in pack.nodes]
    counts = pack.manifest["counts"]
    counted: Any = {**counts, "documented": counts["documented"] - 1, "failed": counts["failed"] + 1}
    return replace(pack, nodes=nodes, manifest={**pack.manifest, "counts": counted})
