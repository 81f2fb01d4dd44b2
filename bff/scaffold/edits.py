"""Insertions into Python files that people wrote. The place is found in the syntax tree; all other text stays as it is.

Each function takes a file's text and returns it with the insertion. If the file does not have the expected shape, it raises
`NoPlace`: nothing is guessed.
"""

import ast
import re
from collections.abc import Sequence

LONGEST_LINE = 120
"""As the generated `pyproject.toml` has it."""
_INDENT = "    "
_OWN_PACKAGES = frozenset({"datasources", "schema", "tests"})
"""An application's own packages: their imports stand in a block of their own."""


class NoPlace(Exception):
    """The file has no place of the expected shape. The message names what was looked for."""


def add_import(text: str, module: str, name: str) -> str:
    """Add `from module import name`, in the order of the modules' names.

    Unchanged if the name is imported already, from the module or from one of the same package.
    """
    tree = _parsed(text)
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom) and not node.level and node.module]
    siblings = [node for node in imports if _root(node.module) == _root(module)]
    if name in _bound(tree):
        if any(alias.name == name and alias.asname is None for node in siblings for alias in node.names):
            return text
        raise NoPlace(f"a file in which {name} is not the name of something else")
    same = next((node for node in siblings if node.module == module), None)
    if same is not None:
        return _grow(text, same, name)
    line = f"from {module} import {name}"
    if siblings:
        before = [node for node in siblings if (node.module or "") < module]
        return _insert_after_line(text, _end(before[-1]) if before else siblings[0].lineno - 1, [line])
    if not imports:
        raise NoPlace("imports at the top")
    own = [node for node in imports if _root(node.module) in _OWN_PACKAGES]
    if not own:
        return _insert_after_line(text, _end(imports[-1]), ["", line])
    before = [node for node in own if (node.module or "") < module]
    return _insert_after_line(text, _end(before[-1]) if before else own[0].lineno - 1, [line])


def add_keyword_item(text: str, function: str, keyword: str, item: str) -> str:
    """Add an item to the tuple or list that a call has as a keyword argument, as `sources=(Users,)` of `App(…)`."""
    for node in ast.walk(_parsed(text)):
        if isinstance(node, ast.Call) and _name_of(node.func) == function:
            for argument in node.keywords:
                if argument.arg == keyword and isinstance(argument.value, ast.Tuple | ast.List):
                    return _add_item(text, argument.value, item)
    raise NoPlace(f"{function}(…) with {keyword}=(…)")


def add_assigned_item(text: str, variable: str, item: str) -> str:
    """Add an item to the tuple or list that is assigned to a variable of the module, as `EVERYONE = (WEB, MOBILE)`."""
    _, value = _assignment(_parsed(text), variable)
    return _add_item(text, value, item)


def add_before_assignment(text: str, variable: str, line: str) -> str:
    """Add a line of code in front of the assignment to a variable of the module, behind the statement before it."""
    tree = _parsed(text)
    node, _ = _assignment(tree, variable)
    number = tree.body.index(node)
    if number == 0:
        raise NoPlace(f"a statement before {variable}")
    return _insert_after_line(text, _end(tree.body[number - 1]), [line])


def add_to_class(text: str, name: str, lines: Sequence[str]) -> str:
    """Add lines at the end of a class's body, indented as the body is, with an empty line before them."""
    for node in _parsed(text).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            last = node.body[-1]
            indent = " " * last.col_offset
            if node.lineno == last.lineno:
                break
            return _insert_after_line(text, _end(last), ["", *(f"{indent}{line}" for line in lines)])
    raise NoPlace(f"class {name}")


def add_returned_entry(text: str, function: str, key: str, value: str) -> str:
    """Add an entry to the dictionary that a function returns, as `return {"users": users(options)}`."""
    for node in _parsed(text).body:
        if isinstance(node, ast.FunctionDef) and node.name == function and isinstance(node.body[-1], ast.Return):
            returned = node.body[-1].value
            if isinstance(returned, ast.Dict) and returned.values:
                return _add_item(text, returned, f'"{key}": {value}')
    raise NoPlace(f"def {function}(…) that ends with return {{…}}")


def binds(text: str, name: str) -> bool:
    """Whether a module has a name of its own or imports it. Raises `NoPlace` if it is not Python."""
    return name in _bound(_parsed(text))


def class_has(text: str, name: str, member: str) -> bool:
    """Whether a class of the module has a member of that name. Raises `NoPlace` if it is not Python."""
    for node in _parsed(text).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return member in {each for statement in node.body for each in _names_of(statement)}
    return False


def check(text: str) -> None:
    """Raises `NoPlace` for a text that is not Python: the last check of a text with insertions."""
    _parsed(text)


def _parsed(text: str) -> ast.Module:
    if "\r" in text.replace("\r\n", "") or "\f" in text:
        raise NoPlace("lines that end in a line feed")
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError) as error:
        raise NoPlace(f"Python that can be parsed ({error})") from None


def _lines(text: str) -> list[str]:
    """The lines with their endings, as the syntax tree counts them."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _assignment(tree: ast.Module, variable: str) -> tuple[ast.stmt, ast.expr]:
    """The statement that assigns a tuple or list to a variable, and its value."""
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        value = getattr(node, "value", None)
        if [_name_of(target) for target in targets] == [variable] and isinstance(value, ast.Tuple | ast.List):
            return node, value
    raise NoPlace(f"{variable} = (…)")


def _add_item(text: str, sequence: ast.expr, item: str) -> str:
    items: list[ast.expr] = sequence.values if isinstance(sequence, ast.Dict) else getattr(sequence, "elts", [])
    if not items:
        raise NoPlace("at least one item")
    lines = _lines(text)
    start, end = _offset(lines, sequence.lineno, sequence.col_offset), _offset(lines, _end(sequence), _end_column(sequence))
    encoded = text.encode()
    if encoded[start : start + 1] not in {b"(", b"[", b"{"}:  # a tuple without parentheses
        raise NoPlace("items in brackets")
    last = items[-1]
    behind = _offset(lines, _end(last), _end_column(last))
    first = sequence.keys[0] if isinstance(sequence, ast.Dict) else items[0]
    if first is None:
        raise NoPlace("a dictionary of plain entries")
    has_comma = encoded[behind : end - 1].lstrip().startswith(b",")
    if _end(sequence) == sequence.lineno:
        inner = encoded[start + 1 : behind].decode().strip()
        line = lines[sequence.lineno - 1].rstrip("\r\n")
        if len(line) + len(item) + 2 <= LONGEST_LINE:
            return _replaced(encoded, start + 1, end - 1, f"{inner}, {item}")
        outer = line[: len(line) - len(line.lstrip())]
        parts = [*(_segment(encoded, lines, each) for each in items), item]
        if isinstance(sequence, ast.Dict):
            raise NoPlace("a shorter line")
        body = "".join(f"\n{outer}{_INDENT}{part}," for part in parts)
        return _replaced(encoded, start + 1, end - 1, f"{body}\n{outer}")
    if first.lineno == sequence.lineno or _end(last) == _end(sequence):
        raise NoPlace("one item a line")
    indent = " " * first.col_offset
    if not has_comma:
        text = _replaced(encoded, behind, behind, ",")
    return _insert_after_line(text, _end(last), [f"{indent}{item},"])


def _grow(text: str, node: ast.ImportFrom, name: str) -> str:
    """Add a name to an import on one line, sorted as linters want it: constants, then classes, then functions."""
    names = sorted({*(alias.name for alias in node.names), name}, key=import_order)
    line = f"from {node.module} import {', '.join(names)}"
    lines = _lines(text)
    old = lines[node.lineno - 1]
    # Without a comment, brackets, a star or another statement.
    is_plain = old.rstrip("\r\n") == ast.unparse(node) and node.names[0].name != "*"
    if not is_plain or len(line) > LONGEST_LINE:
        raise NoPlace(f"a short import of {node.module} on one line")
    lines[node.lineno - 1] = line + old[len(old.rstrip("\r\n")) :]
    return "".join(lines)


def import_order(name: str) -> tuple[int, str]:
    """The key by which linters sort the names of an import: constants, then classes, then functions."""
    kind = 0 if name.isupper() and len(name) > 1 else 1 if name[:1].isupper() else 2
    return kind, name


def _bound(tree: ast.Module) -> set[str]:
    return {name for node in tree.body for name in _names_of(node)}


def _names_of(node: ast.stmt) -> set[str]:
    """The names that a statement binds."""
    match node:
        case ast.Import() | ast.ImportFrom():
            return {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return {node.name}
        case ast.Assign():
            return {each.id for target in node.targets for each in ast.walk(target) if isinstance(each, ast.Name)}
        case ast.AnnAssign(target=ast.Name(id=name)):
            return {name}
        case ast.If() | ast.Try():
            return {
                name
                for each in ast.walk(node)
                if isinstance(each, ast.stmt) and each is not node
                for name in _names_of(each)
            }
        case _:
            return set()


def _insert_after_line(text: str, number: int, new: Sequence[str]) -> str:
    """Insert lines behind the line with that number, counted from 1, with the file's own line ending."""
    lines = _lines(text)
    ending = "\r\n" if lines and lines[0].endswith("\r\n") else "\n"
    if lines and number >= len(lines) and not lines[-1].endswith(("\n", "\r")):
        lines[-1] += ending
    lines[number:number] = [f"{line}{ending}" for line in new]
    return "".join(lines)


def _replaced(encoded: bytes, start: int, end: int, new: str) -> str:
    return (encoded[:start] + new.encode() + encoded[end:]).decode()


def _segment(encoded: bytes, lines: Sequence[str], node: ast.expr) -> str:
    return encoded[_offset(lines, node.lineno, node.col_offset) : _offset(lines, _end(node), _end_column(node))].decode()


def _offset(lines: Sequence[str], line: int, column: int) -> int:
    """The offset in bytes: the syntax tree counts columns in bytes of UTF-8."""
    return sum(len(each.encode()) for each in lines[: line - 1]) + column


def _end(node: ast.stmt | ast.expr) -> int:
    return node.end_lineno or node.lineno


def _end_column(node: ast.expr) -> int:
    return node.end_col_offset or node.col_offset


def _root(module: str | None) -> str:
    return (module or "").partition(".")[0]


def _name_of(node: ast.expr) -> str | None:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else None
