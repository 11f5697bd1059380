"""environment.yml and requirements.lock give what pyproject.toml asks for, on any machine."""

from __future__ import annotations

import itertools
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.markers import default_environment
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

EXTRAS = ("lab", "book", "test")
MACHINES = [
    {
        "python_version": f"3.{minor}",
        "python_full_version": f"3.{minor}.6",
        "sys_platform": platform,
        "os_name": os_name,
    }
    for minor, (platform, os_name) in itertools.product(
        (11, 12, 13), (("linux", "posix"), ("darwin", "posix"), ("win32", "nt"))
    )
]
LOCAL_TO_A_MACHINE = re.compile(
    r"^(nvidia|cuda|triton)\b|--hash|--(extra-)?index-url|--find-links|https?:|file:|@|\+", re.I
)


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    text = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    loaded: dict[str, Any] = tomllib.loads(text)["project"]
    return loaded


def wanted(project: dict[str, Any]) -> list[str]:
    """All dependencies, those of the extras included."""
    extras = project["optional-dependencies"]
    return [*project["dependencies"], *itertools.chain.from_iterable(extras[name] for name in EXTRAS)]


def locked_lines(text: str) -> list[str]:
    return [line for line in map(str.strip, text.splitlines()) if line and not line.startswith("#")]


def locked(lines: list[str], machine: dict[str, str]) -> dict[str, list[Version]]:
    """Name → versions that a lock gives a machine."""
    environment = {key: str(value) for key, value in {**default_environment(), **machine}.items()}
    found: dict[str, list[Version]] = {}
    for line in lines:
        one = Requirement(line)
        if one.marker is None or one.marker.evaluate(environment):
            (pin,) = one.specifier
            assert pin.operator == "==", line
            found.setdefault(canonicalize_name(one.name), []).append(Version(pin.version))
    return found


def unsatisfied(requirements: list[str], lines: list[str], machine: dict[str, str]) -> list[str]:
    """Requirements that a lock does not give a machine exactly one good version of."""
    pins, missing = locked(lines, machine), []
    for text in requirements:
        one = Requirement(text)
        versions = pins.get(canonicalize_name(one.name), [])
        if len(versions) != 1 or not one.specifier.contains(versions[0]):
            missing.append(text)
    return missing


@pytest.fixture(scope="module")
def lock() -> list[str]:
    return locked_lines((Path(__file__).parents[1] / "requirements.lock").read_text(encoding="utf-8"))


# environment.yml


def complaints(environment: dict[str, Any], project: dict[str, Any]) -> list[str]:
    """What is wrong with an environment."""
    found = [f"unknown key {key}" for key in environment.keys() - {"name", "channels", "dependencies"}]
    if environment["channels"] != ["conda-forge"]:
        found.append("channels")
    conda = {re.split(r"[<>=! ]", line)[0]: line for line in environment["dependencies"] if isinstance(line, str)}
    if set(conda) != {"python", "pip", "nodejs"}:
        found.append(f"conda installs {', '.join(sorted(conda))}")
    python = conda["python"].removeprefix("python")
    if python.startswith("=") and not python.startswith("=="):
        python = f"={python}.*"
    if not any(
        SpecifierSet(project["requires-python"]).contains(v) and SpecifierSet(python).contains(v)
        for v in ("3.11.9", "3.12.9", "3.13.9")
    ):
        found.append("python")
    if SpecifierSet(python).contains("3.10.9"):
        found.append("python is too old")
    (pip,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    for line in pip:
        editable = re.fullmatch(r"-e \.\[([\w,]+)\]", line)
        extras = set(editable[1].split(",")) if editable else set()
        if not editable or extras - set(project["optional-dependencies"]):
            found.append(f"pip installs {line}")
        if editable and extras != set(EXTRAS):
            found.append(f"extras {', '.join(sorted(extras))}")
    return found


@pytest.fixture
def environment(root: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((root / "environment.yml").read_text(encoding="utf-8"))
    return loaded


def test_the_environment_is_thin_and_installs_the_course(environment: dict[str, Any], project: dict[str, Any]) -> None:
    assert environment["name"] == project["name"]
    assert complaints(environment, project) == []


@pytest.mark.parametrize(
    "change",
    [
        {"channels": ["defaults"]},
        {"prefix": "/somewhere"},
        {"dependencies": ["python=3.10", "pip", "nodejs", {"pip": ["-e .[lab,book,test]"]}]},
        {"dependencies": ["python>=3.9", "pip", "nodejs", {"pip": ["-e .[lab,book,test]"]}]},
        {"dependencies": ["python", "pip", {"pip": ["-e .[lab,book,test]"]}]},
        {"dependencies": ["python", "pip", "nodejs", "numpy", {"pip": ["-e .[lab,book,test]"]}]},
        {"dependencies": ["python", "pip", "nodejs", {"pip": ["-e .[lab,books,test]"]}]},
        {"dependencies": ["python", "pip", "nodejs", {"pip": ["-e .[lab]"]}]},
        {"dependencies": ["python", "pip", "nodejs", {"pip": ["numpy"]}]},
    ],
)
def test_another_environment_would_be_noticed(
    environment: dict[str, Any], project: dict[str, Any], change: dict[str, Any]
) -> None:
    assert complaints({**environment, **change}, project)


# requirements.lock


def test_every_line_of_the_lock_is_a_pin_that_any_machine_can_read(lock: list[str]) -> None:
    assert len(lock) > 100
    for line in lock:
        assert not LOCAL_TO_A_MACHINE.search(line), line
        one = Requirement(line)  # parses, its marker included
        assert [pin.operator for pin in one.specifier] == ["=="], line
        assert "*" not in str(one.specifier), line
        assert not one.extras
        assert one.url is None
    assert lock.count("torch==2.13.0") == 1
    assert lock == sorted(lock, key=lambda line: (canonicalize_name(Requirement(line).name), line))


@pytest.mark.parametrize("machine", MACHINES, ids=lambda m: f"{m['sys_platform']}-{m['python_version']}")
def test_the_lock_gives_every_machine_what_the_project_asks_for(
    lock: list[str], project: dict[str, Any], machine: dict[str, str]
) -> None:
    assert unsatisfied(wanted(project), lock, machine) == []
    doubled = {name: versions for name, versions in locked(lock, machine).items() if len(versions) > 1}
    assert doubled == {}


def test_extras_of_the_project_exist_and_parse(project: dict[str, Any]) -> None:
    assert set(EXTRAS) <= set(project["optional-dependencies"])
    for text in [*wanted(project), *itertools.chain.from_iterable(project["optional-dependencies"].values())]:
        Requirement(text)
    assert SpecifierSet(project["requires-python"]).contains("3.11.0")
    assert not SpecifierSet(project["requires-python"]).contains("3.10.9")


def test_the_checks_of_the_lock_can_fail() -> None:
    machine = MACHINES[0]
    assert unsatisfied(["a>=2"], ["a==2.1"], machine) == []
    assert unsatisfied(["a>=2"], ["a==1.9"], machine) == ["a>=2"]
    assert unsatisfied(["a>=2"], [], machine) == ["a>=2"]
    assert unsatisfied(["a>=2"], ["a==2.1 ; sys_platform == 'win32'"], machine) == ["a>=2"]
    assert unsatisfied(["a>=2"], ["a==2.1", "a==2.2"], machine) == ["a>=2"]
    assert unsatisfied(["A_b"], ["a-b==1"], machine) == []
    for line in (
        "nvidia-cublas==13",
        "triton==3.5",
        "torch==2.13.0+cpu",
        "a==1 --hash=sha256:0",
        "--index-url x",
        "a @ file:///a",
    ):
        assert LOCAL_TO_A_MACHINE.search(line)
    assert not LOCAL_TO_A_MACHINE.search("torch==2.13.0")
    with pytest.raises(InvalidRequirement):
        locked(["a==1 ; sys_platform = 'win32'"], machine)
