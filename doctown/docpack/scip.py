"""A pack as an index in SCIP (https://github.com/sourcegraph/scip), which code search and editors read.

Definitions, calls, bases and overrides become occurrences and relationships. A pack knows lines and no columns, so
every range begins at the start of its line and is empty; `enclosing_range` has the whole symbol. Guesses are left out:
SCIP has no place for a confidence. The messages are those of scip.proto as far as they are used here; the rest of the
format is optional.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from doctown.docpack.pack import Pack, index_pack
from doctown.docpack.schema import Edge, Kind, Node, Span, is_guess, is_module

UTF8 = 1
DEFINITION = 1

# Message: its fields by name, with their numbers and types. `*` marks a repeated one.
MESSAGES: Mapping[str, Mapping[str, tuple[int, str]]] = {
    "Index": {"metadata": (1, "Metadata"), "documents": (2, "*Document")},
    "Metadata": {
        "tool_info": (2, "ToolInfo"),
        "project_root": (3, "string"),
        "text_document_encoding": (4, "int32"),
    },
    "ToolInfo": {"name": (1, "string"), "version": (2, "string")},
    "Document": {
        "relative_path": (1, "string"),
        "occurrences": (2, "*Occurrence"),
        "symbols": (3, "*SymbolInformation"),
        "language": (4, "string"),
        "text": (5, "string"),
    },
    "Occurrence": {
        "range": (1, "*int32"),
        "symbol": (2, "string"),
        "symbol_roles": (3, "int32"),
        "enclosing_range": (7, "*int32"),
    },
    "SymbolInformation": {
        "symbol": (1, "string"),
        "documentation": (3, "*string"),
        "relationships": (4, "*Relationship"),
        "kind": (5, "int32"),
        "display_name": (6, "string"),
        "signature_documentation": (7, "Document"),
    },
    "Relationship": {"symbol": (1, "string"), "is_implementation": (3, "bool")},
}
# SymbolInformation.Kind, and the mark that ends the last part of a symbol's name.
KINDS: Mapping[Kind, tuple[int, str]] = {
    "class": (7, "#"),
    "constant": (8, "."),
    "enum": (11, "#"),
    "function": (17, "()."),
    "interface": (21, "#"),
    "macro": (25, "!"),
    "method": (26, "()."),
    "module": (29, "/"),
    "property": (41, "."),
    "struct": (49, "#"),
    "trait": (53, "#"),
    "type": (54, "#"),
}
_NUMBER = re.compile(r"#(\d+)$")
_PLAIN = frozenset("_+-$0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


def scip_index(pack: Pack, project_root: str) -> bytes:
    """Return the index; `project_root` is the `file://` URL of the folder that the paths are relative to."""
    make = _messages()
    index = index_pack(pack)
    names = {node["id"]: symbol_name(node, index.nodes, pack) for node in pack.nodes}
    generator = pack.manifest["generator"]
    tool = make["ToolInfo"](name=generator["name"], version=generator["version"])
    result = make["Index"](
        metadata=make["Metadata"](tool_info=tool, project_root=project_root, text_document_encoding=UTF8)
    )
    for file in pack.source_map["files"]:
        if file["status"] == "skipped":
            continue
        document = result.documents.add(relative_path=file["path"], language=file["language"] or "")
        for node in index.by_file[file["path"]]:
            sure = [edge for edge in index.outgoing.get(node["id"], ()) if not is_guess(edge)]
            span = pack.source_map["symbols"][node["id"]]
            document.symbols.append(_information(node, sure, names, make))
            document.occurrences.append(_definition(names[node["id"]], span, make))
            document.occurrences.extend(_calls(sure, names, make))
    return bytes(result.SerializeToString(deterministic=True))


Make = Mapping[str, Callable[..., Any]]


def _messages() -> Make:
    """Return a class for each of MESSAGES."""
    # The library ships no types.
    from google.protobuf.descriptor_pb2 import (  # type: ignore[import-untyped]
        FieldDescriptorProto,
        FileDescriptorProto,
    )
    from google.protobuf.descriptor_pool import DescriptorPool  # type: ignore[import-untyped]
    from google.protobuf.message_factory import GetMessageClass  # type: ignore[import-untyped]

    file = FileDescriptorProto(name="scip.proto", package="scip", syntax="proto3")
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, type_name) in fields.items():
            added = message.field.add(name=field, number=number)
            repeated, kind = type_name.startswith("*"), type_name.removeprefix("*")
            added.label = FieldDescriptorProto.LABEL_REPEATED if repeated else FieldDescriptorProto.LABEL_OPTIONAL
            if kind in MESSAGES:
                added.type, added.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".scip.{kind}"
            else:
                added.type = FieldDescriptorProto.Type.Value(f"TYPE_{kind.upper()}")
    pool = DescriptorPool()
    pool.Add(file)
    return {name: GetMessageClass(pool.FindMessageTypeByName(f"scip.{name}")) for name in MESSAGES}


def symbol_name(node: Node, nodes: Mapping[str, Node], pack: Pack) -> str:
    """Return a symbol's name in SCIP's grammar: scheme, package, version, and a part for each folder, file and scope.

    `src/a.py::Session.run` of the repository `demo` is `doctown . demo . src/`a.py`/Session#run().`
    """
    repository = pack.manifest["repository"]
    package = f"{_spaced(repository['name'])} {_spaced(repository['commit'] or '.')}"
    folders = "".join(f"{_escaped(part)}/" for part in node["file"].split("/"))
    return f"doctown . {package} {folders}{''.join(_scopes(node, nodes))}"


def _scopes(node: Node, nodes: Mapping[str, Node]) -> list[str]:
    """Return the parts of the name within the file, from the outermost scope to the symbol."""
    parts: list[str] = []
    current: Node | None = node
    while current is not None and not is_module(current):
        _, mark = KINDS[current["kind"]]
        number = found[1] if (found := _NUMBER.search(current["id"])) else ""
        # The second symbol of a name has a mark of its own in its id, and methods a place for it in SCIP.
        name = f"{current['name']}#{number}" if number and mark != "()." else current["name"]
        parts.append(f"{_escaped(name)}{f'(+{number}).' if number and mark == '().' else mark}")
        parent = nodes[current["parent"]] if current["parent"] else None
        if parent is None or is_module(parent):
            # A method of a type that another file defines: its name has the type, and its parent is the file.
            outer = current["qualified_name"].removesuffix(current["name"]).strip(".")
            parts += [f"{_escaped(part)}#" for part in reversed(outer.split(".")) if part]
        current = parent
    return parts[::-1]


def _spaced(text: str) -> str:
    return text.replace(" ", "  ")


def _escaped(name: str) -> str:
    return name if name and set(name) <= _PLAIN else f"`{name.replace('`', '``')}`"


def _information(node: Node, edges: list[Edge], names: Mapping[str, str], make: Make) -> Any:  # noqa: ANN401
    documentation, signature = node["documentation"], node["signature"]
    texts = [documentation["summary"] if documentation is not None else None, node["docstring"]]
    result = make["SymbolInformation"](
        symbol=names[node["id"]],
        documentation=[text for text in texts if text],
        relationships=[
            make["Relationship"](symbol=names[edge["to"]], is_implementation=True)
            for edge in edges
            if edge["kind"] in {"inherits", "overrides"}
        ],
        kind=KINDS[node["kind"]][0],
        display_name=node["name"],
    )
    if signature:
        result.signature_documentation.CopyFrom(make["Document"](language=node["language"], text=signature))
    return result


def _definition(name: str, span: Span, make: Make) -> Any:  # noqa: ANN401
    start, end = span["start_line"] - 1, span["end_line"] - 1
    return make["Occurrence"](
        range=[start, 0, 0], symbol=name, symbol_roles=DEFINITION, enclosing_range=[start, 0, end, 0]
    )


def _calls(edges: list[Edge], names: Mapping[str, str], make: Make) -> Iterator[Any]:
    for edge in edges:
        for line in edge["lines"]:
            yield make["Occurrence"](range=[line - 1, 0, 0], symbol=names[edge["to"]])
