"""The rules of the house: who may import whom, how long a room may be, and what a public name owes its reader."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "gdl_lab"

SERVICE = ("runtime", "data", "training", "checkpoints", "sweep")
# In this order: a maths room may import the ones before it.
MATHS = (
    "networks", "manifold", "flows", "metric", "counterfactuals", "symmetry", "sphere", "bundles", "lattice",
    "infinite_width", "discovery", "recipes",
)  # fmt: skip
FACE = ("claims", "exercises", "figures", "widgets", "book", "cli")
SERVICE_LIBRARIES = {"torch", "numpy", "scipy", "sklearn", "PIL", "tqdm", "pooch", "safetensors", "joblib"}
MATHS_LIBRARIES = {"torch", "numpy", "scipy", "e3nn"}
DISCOVERY_LIBRARIES = MATHS_LIBRARIES | {"snappy"}
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "misc", "common", "base"}
LONGEST = 400


# Imports


def imports(source: str, module: str, *, package: bool = False) -> Iterator[tuple[str, bool]]:
    """Full names of what a module imports, and whether the import is at the top (not inside a function)."""
    tree = ast.parse(source)
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) not in inside
        elif isinstance(node, ast.ImportFrom):
            parts = module.split(".") if package else module.split(".")[:-1]
            start = (
                ".".join([*parts[: len(parts) - node.level + 1], node.module or ""])
                if node.level
                else node.module or ""
            )
            for alias in node.names:
                yield f"{start.rstrip('.')}.{alias.name}", id(node) not in inside


def room(module: str) -> str:
    """The room of a module: the second part of its name."""
    return module.split(".")[1] if "." in module else ""


def violations(source: str, module: str, *, package: bool = False) -> list[str]:
    """Imports that a service or maths room must not have."""
    here, found = room(module), []
    if here not in SERVICE + MATHS:
        return []
    if here in SERVICE:
        rooms, libraries = set(SERVICE), SERVICE_LIBRARIES
    else:
        rooms = {*SERVICE, *MATHS[: MATHS.index(here) + 1]}
        libraries = DISCOVERY_LIBRARIES if here == "discovery" else MATHS_LIBRARIES
    for name, at_top in imports(source, module, package=package):
        top = name.split(".")[0]
        if top == "gdl_lab":
            fine = room(name) in rooms
        elif top == "snappy":
            fine = top in libraries and not at_top
        else:
            fine = top in libraries or top in sys.stdlib_module_names
        if not fine:
            found.append(f"{module} imports {name}")
    return found


@cache
def modules() -> dict[str, Path]:
    """Every module of the package by its full name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def source(module: str) -> str:
    return modules()[module].read_text(encoding="utf-8")


def is_package(module: str) -> bool:
    return modules()[module].name == "__init__.py"


each_module = pytest.mark.parametrize("module", modules())


def test_every_room_is_of_one_kind() -> None:
    rooms = {room(module) for module in modules()} - {""}
    assert rooms <= {*SERVICE, *MATHS, *FACE}
    assert len({*SERVICE, *MATHS, *FACE}) == len(SERVICE) + len(MATHS) + len(FACE)


@each_module
def test_a_room_imports_only_downwards(module: str) -> None:
    assert violations(source(module), module, package=is_package(module)) == []


def test_imports_that_break_the_rules_are_noticed() -> None:
    for text, module in (
        ("import matplotlib", "gdl_lab.runtime"),
        ("from matplotlib import pyplot", "gdl_lab.networks.regions"),
        ("import e3nn", "gdl_lab.training"),
        ("import sklearn.datasets", "gdl_lab.networks"),
        ("from gdl_lab import networks", "gdl_lab.training"),
        ("from gdl_lab import figures", "gdl_lab.networks"),
        ("def f():\n    import anywidget", "gdl_lab.metric"),
        ("if True:\n    from IPython.display import HTML", "gdl_lab.flows"),
        ("from gdl_lab.metric import inverse_metric", "gdl_lab.flows"),
        ("import snappy", "gdl_lab.discovery.knots"),
        ("from ..claims import claim", "gdl_lab.data.files"),
    ):
        assert violations(text, module), text
    for text, module in (
        ("import matplotlib", "gdl_lab.figures.plots"),
        ("import math\nimport torch.nn as nn", "gdl_lab.training"),
        ("from gdl_lab import runtime\nfrom gdl_lab.flows import RealNVP", "gdl_lab.metric"),
        ("from . import files\nfrom .files import find", "gdl_lab.data.digits"),
        ("def f():\n    import snappy", "gdl_lab.discovery.knots"),
    ):
        assert violations(text, module) == [], text


def graph() -> dict[str, set[str]]:
    """Module → modules of the package that importing it runs, named imports resolved."""
    known, edges = modules(), dict[str, set[str]]()
    for module in known:
        edges[module] = set()
        for name, at_top in imports(source(module), module, package=is_package(module)):
            target = name if name in known else name.rpartition(".")[0]
            if at_top and target in known and target != module:
                edges[module].add(target)
    return edges


def cycle(edges: dict[str, set[str]]) -> list[str]:
    """Some cycle of a graph, empty if there is none."""
    done: set[str] = set()

    def walk(node: str, path: list[str]) -> list[str]:
        if node in path:
            return [*path[path.index(node) :], node]
        if node in done:
            return []
        for after in sorted(edges.get(node, ())):
            if found := walk(after, [*path, node]):
                return found
        done.add(node)
        return []

    return next((found for node in edges if (found := walk(node, []))), [])


def test_no_modules_import_each_other() -> None:
    assert cycle(graph()) == []


def test_no_rooms_import_each_other() -> None:
    rooms: dict[str, set[str]] = {}
    for module, targets in graph().items():
        rooms.setdefault(room(module), set()).update({room(target) for target in targets} - {room(module), ""})
    rooms.pop("", None)
    assert cycle(rooms) == []


def test_a_cycle_is_noticed() -> None:
    assert cycle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a", "b", "c", "a"]
    assert cycle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


@pytest.mark.slow
def test_importing_the_maths_loads_no_face() -> None:
    """What the source says, checked on a running interpreter."""
    here = [name for name in SERVICE + MATHS if f"gdl_lab.{name}" in modules()]
    lines = "; ".join(f"import gdl_lab.{name}" for name in here)
    code = f"import sys; {lines}; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout.split()
    assert "gdl_lab.networks" in loaded
    for name in ("matplotlib", "IPython", "ipywidgets", "anywidget", *(f"gdl_lab.{face}" for face in FACE)):
        assert name not in loaded


# Size and names


@each_module
def test_a_module_is_not_too_long(module: str) -> None:
    assert len(source(module).splitlines()) <= LONGEST, "a file this long wants a wall"


def badly_named(paths: list[Path]) -> list[Path]:
    return [path for path in paths if FORBIDDEN_NAMES & {part.split(".")[0].lower() for part in path.parts}]


def test_no_file_or_folder_is_a_drawer_for_odds_and_ends() -> None:
    assert badly_named(tracked()) == []
    assert badly_named([Path("gdl_lab/utils.py"), Path("gdl_lab/common/x.py"), Path("gdl_lab/uses.py")]) == [
        Path("gdl_lab/utils.py"),
        Path("gdl_lab/common/x.py"),
    ]


# What a public name owes its reader


def exported(tree: ast.Module) -> list[str] | None:
    """``__all__``, ``None`` if there is none."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and [ast.unparse(t) for t in node.targets] == ["__all__"]:
            return list(ast.literal_eval(node.value))
    return None


def debts(text: str) -> list[str]:
    """What the public names of a module lack: ``__all__``, a docstring, or types."""
    tree = ast.parse(text)
    names = exported(tree)
    if names is None:
        return ["__all__"] if any(isinstance(node, ast.FunctionDef | ast.ClassDef) for node in tree.body) else []
    found = ["module: docstring"] if not ast.get_docstring(tree) else []
    if names != sorted(names, key=lambda name: (not name.isupper(), not name[0].isupper(), name)):
        found.append("__all__: order")
    defined = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    bound = {
        name.id
        for node in tree.body
        for name in ast.walk(node)
        if isinstance(node, ast.Assign | ast.AnnAssign)
        and isinstance(name, ast.Name)
        and isinstance(name.ctx, ast.Store)
    }
    brought = {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    for name in names:
        node = defined.get(name)
        if node is None:
            if name not in bound | brought:
                found.append(f"{name}: definition")
        elif isinstance(node, ast.ClassDef):
            found += lacking(node, name, inherited=bool(node.bases))
            for method in node.body:
                if isinstance(method, ast.FunctionDef) and not method.name.startswith("_"):
                    found += lacking(method, f"{name}.{method.name}", inherited=bool(node.bases))
                elif isinstance(method, ast.FunctionDef) and method.name == "__init__":
                    found += untyped(method, f"{name}.{method.name}")
        else:
            found += lacking(node, name)
    return found


def lacking(node: ast.FunctionDef | ast.ClassDef, name: str, *, inherited: bool = False) -> list[str]:
    # a method that fills in what its base class or protocol describes may rely on the words there
    described = ast.get_docstring(node) or (inherited and isinstance(node, ast.FunctionDef))
    found = [] if described else [f"{name}: docstring"]
    return found + (untyped(node, name) if isinstance(node, ast.FunctionDef) else [])


def untyped(node: ast.FunctionDef, name: str) -> list[str]:
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg]
    bare = [a.arg for a in arguments if a is not None and a.annotation is None and a.arg not in ("self", "cls")]
    found = [f"{name}: type of {argument}" for argument in bare]
    return found + ([] if node.returns else [f"{name}: return type"])


@each_module
def test_every_public_name_is_described_and_typed(module: str) -> None:
    assert debts(source(module)) == []


def test_what_a_public_name_lacks_is_noticed() -> None:
    head = '"""Words."""\n__all__ = ["f"]\n'
    assert debts(head + 'def f(x: int) -> int:\n    """Words."""\n') == []
    assert debts(head + "def f(x: int) -> int:\n    return x\n") == ["f: docstring"]
    assert debts(head + 'def f(x, *y) -> int:\n    """Words."""\n') == ["f: type of x", "f: type of y"]
    assert debts(head + 'def f(x: int):\n    """Words."""\n') == ["f: return type"]
    assert debts(head) == ["f: definition"]
    assert debts("def f() -> None: ...\n") == ["__all__"]
    assert debts('__all__ = ["F"]\nclass F:\n    def g(self) -> int: ...\n') == [
        "module: docstring",
        "F: docstring",
        "F.g: docstring",
    ]
    assert debts('"""W."""\n__all__ = ["b", "a"]\na = b = 1\n') == ["__all__: order"]


# What the files of the project keep to themselves


def tracked() -> list[Path]:
    """Files that are in the repository or would be."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a git checkout: which files belong to the project is not known")
    return [Path(name) for name in sorted(set(listed.stdout.decode().split("\0")) - {""}) if (ROOT / name).is_file()]


HOME = "|".join(["/" + folder + "/" for folder in ("root", "home", "Users", "work", "workspace")])
MACHINE = re.compile(
    rf"(?<![\w.~$}}])({HOME})[\w.]|[A-Z]:\\\\Users|"
    r"(pypi|pythonhosted|npmjs|yarnpkg|anaconda)\.(org|com)/|registry\.\w|https?://(\d+\.){3}\d+(?!\d)(?<!127\.0\.0\.1)"
)


def told(text: str) -> list[str]:
    """Places of a machine and addresses of registries that a text gives away."""
    return [match[0] for match in MACHINE.finditer(text)]


def test_no_file_gives_away_a_machine_or_a_registry() -> None:
    found = {}
    for path in tracked():
        if path == Path(__file__).relative_to(ROOT) or path.suffix in {".png", ".safetensors", ".pt", ".gz"}:
            continue
        if places := told((ROOT / path).read_text(encoding="utf-8")):
            found[str(path)] = places
    assert found == {}


def test_what_gives_a_machine_away_is_noticed() -> None:
    for text in (
        "cd /" + "work/main",
        "'/" + "home/me/x'",
        "/" + "root/.cache",
        "https://" + "pypi.org/simple",
        "https://" + "registry.npmjs.org/x",
        "http://" + "10.0.0.7:8080/simple",
    ):
        assert told(text), text
    for text in (
        "notebooks/home/x",
        "~/work/x",
        "http://127.0.0.1:8888",
        "https://arxiv.org/abs/1",
        "/home",
        "network/root/x",
    ):
        assert told(text) == [], text
