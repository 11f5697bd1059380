"""The command `gdl-lab`: open, test and build the course, measure its claims, fetch data, train its models, time it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table as RichTable

from gdl_lab import __version__, runtime

if TYPE_CHECKING:
    from gdl_lab.claims import Claim

__all__ = ["app", "main"]

app = typer.Typer(
    name="gdl-lab",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="""A course in which geometric deep learning runs: open it, test it, read it, measure it.

    The chapters are notebooks under `notebooks/`; `gdl-lab claims` measures every statement of the talk they follow.

    **Environment**: GDL_LAB_PROFILE (smoke, laptop or full), GDL_LAB_DEVICE (cuda, mps or cpu), GDL_LAB_DATA (a folder
    that holds mnist/), GDL_LAB_CACHE (where downloads go), CHROMIUM (the browser of the tests).

    **Exit codes**: 0 all is well; 1 a test or a claim failed; 2 the command could not be carried out.""",
)
data_app = typer.Typer(no_args_is_help=True, help="List, fetch and verify the data sets.")
app.add_typer(data_app, name="data")
console = Console(soft_wrap=True, width=None if sys.stdout.isatty() else 120)

ProfileOption = Annotated[
    str | None, typer.Option("--profile", "-p", help="smoke, laptop or full; default: GDL_LAB_PROFILE, else laptop")
]
PARTS = ("units", "notebooks", "pages")


def main() -> None:
    """Run the command; an error is one sentence and exit code 2, with a traceback only after ``--debug``."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8")  # Windows gives files and pipes an encoding without ✓ and ∇
    arguments = sys.argv[1:]
    debug = "--debug" in arguments and arguments[0] != "open"  # what follows `open` is JupyterLab's
    if debug:
        arguments.remove("--debug")
    try:
        app(arguments)
    except Exception as reason:
        if debug:
            traceback.print_exc()
            sys.exit(2)
        first, *more = str(reason).splitlines() or [type(reason).__name__]
        hint = " (--debug shows where)" if more or not _expected(reason) else ""
        print(f"gdl-lab: {first}{hint}", file=sys.stderr)
        sys.exit(2)


@app.callback(invoke_without_command=True)
def about(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Options before the verb."""
    if version:
        print(__version__)
        raise typer.Exit


@app.command("open", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def open_course(
    context: typer.Context,
    chapter: Annotated[str, typer.Option(help="Number or name of a chapter, such as 02.")] = "00",
) -> None:
    """Open the course in JupyterLab.

    Everything else on the line goes to JupyterLab: `gdl-lab open --no-browser --port 8899`.
    """
    from gdl_lab import book

    root = book.find_root()
    notebook, *more = book.chapters(root, [chapter])
    if more:
        raise ValueError(f"several chapters begin with {chapter!r}: {', '.join(p.stem for p in (notebook, *more))}")
    # with the checkout as its root, JupyterLab also shows the package and the README beside the chapters
    here = f"--ServerApp.root_dir={root}"
    command = [sys.executable, "-m", "jupyter", "lab", here, str(notebook.relative_to(root)), *context.args]
    if hasattr(os, "geteuid") and os.geteuid() == 0 and "--allow-root" not in context.args:
        print("You are root, as in a container: JupyterLab is started with --allow-root.")
        command.append("--allow-root")
    raise typer.Exit(subprocess.run(command, cwd=root, check=False).returncode)


@app.command("test")
def run_tests(
    fast: Annotated[bool, typer.Option("--fast", help="Only the unit tests under a second each.")] = False,
    part: Annotated[list[str] | None, typer.Option(help="units, notebooks or pages. Default: all.")] = None,
) -> None:
    """Run the tests.

    **units**: the package, its claims and exercises. **notebooks**: every chapter cell by cell, in the profile smoke,
        with every connection but
    loopback closed. **pages**: the book built from each chapter's second run, and the widgets in it and in JupyterLab,
    in a real browser.
    """
    from gdl_lab import book

    root = book.find_root()
    if unknown := set(part or ()) - set(PARTS):
        raise ValueError(f"unknown part {', '.join(sorted(unknown))}: expected {', '.join(PARTS)}")
    without_pages = ["tests", "--ignore=tests/browser"]
    two_at_once = ["-n", "2", "--dist", "loadfile"]  # loadfile keeps the cells of a notebook in one kernel
    if fast:
        if part:
            raise ValueError("--fast is a selection of its own: leave --part out")
        runs = {"fast": [*without_pages, *two_at_once, "-m", "not slow"]}
    else:
        notebooks = ["--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=300", "notebooks", *two_at_once]
        pages = ["tests/browser", "-rs", *two_at_once, "--no-loadscope-reorder"]  # the book takes longest, and is first
        every = {"units": [*without_pages, *two_at_once], "notebooks": notebooks, "pages": pages}
        runs = {name: every[name] for name in part or PARTS}
    environment = {
        **os.environ,
        "GDL_LAB_PROFILE": "smoke",
        "IPYTHONDIR": str(root / "tests" / "offline"),
        "OMP_NUM_THREADS": "1",  # two processes share two cores
        "PYTHONUNBUFFERED": "1",
    }
    outcomes = []
    for name, arguments in runs.items():
        print(f"── {name} " + "─" * (60 - len(name)), flush=True)
        began = time.perf_counter()
        done = subprocess.run([sys.executable, "-m", "pytest", *arguments], cwd=root, env=environment, check=False)
        outcomes.append((name, time.perf_counter() - began, done.returncode))
    print("── in all " + "─" * 54)
    for name, seconds, code in outcomes:
        print(f"{'✓' if code == 0 else '✗'} {name:<10} {seconds:6.0f} s")
    raise typer.Exit(int(any(code for *_, code in outcomes)))


@app.command("book")
def build_book(
    profile: ProfileOption = None,
    only: Annotated[list[str] | None, typer.Option(help="Only these chapters, such as 02; may be repeated.")] = None,
) -> None:
    """Run every chapter and build the static book, whose widgets live without a kernel and without a network.

    A chapter that has not changed since it last ran, with its package and data, is not run again.
    """
    from gdl_lab import book

    book.chapters(book.find_root(), only)  # complains before anything is measured
    chosen = _chosen(profile)
    rows = _measure(None, chosen)
    print(f"The book is at {book.build(chosen, rows=rows, only=only)}")
    raise typer.Exit(int(any(row["holds"] is False for row in rows)))


@app.command("claims")
def measure_claims(
    ids: Annotated[list[str] | None, typer.Argument(help="Names or their beginnings, such as `cnn.`.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a list of objects instead of a table.")] = False,
    profile: ProfileOption = None,
) -> None:
    """Measure the statements of the talk and compare each with its bound.

    The JSON objects have the keys id, talk, statement, value, bound, holds, seconds and profile. A claim that needs a
    larger profile than the present one is listed with `holds` null.
    """
    rows = _measure(ids, _chosen(profile))
    if as_json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
    else:
        shown = RichTable("", "statement", "measured", "bound", "seconds", title="The ledger")
        for row in rows:
            mark = {True: "✓", False: "✗", None: "·"}[row["holds"]]
            value = "not finite" if row["value"] is None else f"{row['value']:.3g}"
            if row["holds"] is None:
                value = "needs a larger profile"
            shown.add_row(
                mark, f"{row['statement']} [dim]{row['id']}[/dim]", value, row["bound"], f"{row['seconds']:.1f}"
            )
        console.print(shown)
    raise typer.Exit(int(any(row["holds"] is False for row in rows)))


@data_app.command("list")
def list_data() -> None:
    """Every data set: what it is, its licence, and whether it is on this machine."""
    from gdl_lab.data import CARDS, on_this_machine

    shown = RichTable("name", "what", "licence", "on this machine")
    for name, card in CARDS.items():
        whence = f"obtain it from {card.published.address}" if card.published else f"gdl-lab data fetch {name}"
        shown.add_row(name, card.title, card.licence, "yes" if on_this_machine(name) else f"no: {whence}")
    console.print(shown)


@data_app.command("fetch")
def fetch_data(name: Annotated[str, typer.Argument(help="A name from `gdl-lab data list`.")]) -> None:
    """Download the files of a data set into the cache, verified; files that are there already are only verified."""
    from gdl_lab.data import fetch

    files = fetch(name)
    for file in files:
        print(file)
    print(f"{name} is complete." if files else f"{name} comes with the course: nothing to fetch.")


@data_app.command("check")
def check_data() -> None:
    """Load every data set that is on this machine, checksums included."""
    from gdl_lab.data import CARDS, count, on_this_machine

    for name in CARDS:
        if on_this_machine(name):
            sizes = ", ".join(f"{count(name, split):,} {split}" for split in ("train", "test"))
            print(f"✓ {name}: {sizes}")
        else:
            print(f"· {name}: not on this machine")


@app.command("train")
def train_model(
    name: Annotated[str | None, typer.Argument(help="A recipe. Default: list them all.")] = None,
    profile: ProfileOption = None,
    folder: Annotated[Path | None, typer.Option(help="Where checkpoints lie. Default: data/checkpoints.")] = None,
) -> None:
    """Train a flow or a reader by its recipe and write its checkpoint, with a card; without a name, list the recipes.

    Stopped by Ctrl-C or killed, it goes on from its last validation when the same line is run again. The checkpoint
    that is there stays until the new one is complete.
    """
    from gdl_lab import recipes
    from gdl_lab.training import CheckpointError

    if name is None:
        shown = RichTable("name", "what", "made in", "minutes", "MB", "measured", "to beat")
        for known, recipe in recipes.RECIPES.items():
            try:
                card, size = recipes.card(known, folder), recipes.weights(known, folder).stat().st_size
            except (OSError, CheckpointError):  # one that is missing or damaged must not hide the others
                shown.add_row(known, recipe.title, f"gdl-lab train {known}")
                continue
            cells = [card.profile, f"{card.minutes:.1f}", f"{size / 1e6:.1f}"]
            measured = f"{card.value:.3g} {card.metric}"
            shown.add_row(known, recipe.title, *cells, measured, "{}: {:.3g}".format(*card.to_beat))
        console.print(shown)
        return
    try:
        card = recipes.train(name, _chosen(profile), folder)
    except KeyboardInterrupt:
        print("gdl-lab: interrupted; the same line goes on from the last validation", file=sys.stderr)
        raise typer.Exit(130) from None
    path = recipes.weights(name, folder)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB after {card.minutes:.1f} minutes and {card.steps:,} steps")
    print(f"{card.metric}: {card.value:.3g}; {card.to_beat[0]} has {card.to_beat[1]:.3g}")


@app.command("sweep")
def run_sweep(
    name: Annotated[str | None, typer.Argument(help="A sweep. Default: list them all.")] = None,
    jobs: Annotated[
        int, typer.Option(help="Points measured at once, each in a process of its own; -1: all cores.")
    ] = 1,
    backend: Annotated[
        str | None, typer.Option(help="Of joblib, or the address of a Dask scheduler, such as tcp://host:8786.")
    ] = None,
    folder: Annotated[Path | None, typer.Option(help="Where results lie. Default: data/results.")] = None,
    anew: Annotated[bool, typer.Option("--anew", help="Redo what was measured by other code.")] = False,
) -> None:
    """Measure what is missing of a sweep, a row of its CSV file for each point; without a name, list the sweeps.

    Stopped by Ctrl-C or killed, it has lost only the points in progress, and goes on when the same line is run again.
    """
    from gdl_lab.recipes import sweeps
    from gdl_lab.sweep import SweepError

    if name is None:
        shown = RichTable("name", "what", "points", "measured")
        for known, each in sweeps.SWEEPS.items():
            try:
                measured = str(len(sweeps.stored(known, folder)))
            except SweepError:  # one that is damaged must not hide the others
                measured = f"damaged: {sweeps.results(known, folder)}"
            shown.add_row(known, each.title, str(len(each.points)), measured)
        console.print(shown)
        return
    try:
        rows = sweeps.run(name, folder, jobs=jobs, backend=backend, anew=anew)
    except KeyboardInterrupt:
        print("gdl-lab: interrupted; the same line goes on with what is missing", file=sys.stderr)
        raise typer.Exit(130) from None
    print(f"{sweeps.results(name, folder)}: all {len(rows)} points are measured")


@app.command()
def bench(
    names: Annotated[list[str] | None, typer.Argument(help="Scripts in benchmarks/. Default: all.")] = None,
) -> None:
    """Time the code against its peers: ratios of medians, competitors interleaved in one process."""
    from gdl_lab import book

    folder = book.find_root() / "benchmarks"
    scripts = {path.stem: path for path in sorted(folder.glob("*.py"))}
    if unknown := set(names or ()) - set(scripts):
        raise ValueError(f"no benchmark called {', '.join(sorted(unknown))}: expected {', '.join(scripts)}")
    codes = []
    for name in names or scripts:
        print(f"── {name} " + "─" * (60 - len(name)), flush=True)
        command = [sys.executable, "-m", f"benchmarks.{name}"]
        codes.append(subprocess.run(command, cwd=folder.parent, check=False).returncode)
    raise typer.Exit(int(any(codes)))


def _measure(ids: list[str] | None, profile: str) -> list[dict[str, Any]]:
    """Rows of the ledger for the claims whose names begin with one of ``ids``."""
    from gdl_lab import book, claims

    chosen = [c for c in claims.registered() if not ids or c.id.startswith(tuple(ids))]
    if unknown := [name for name in ids or () if not any(c.id.startswith(name) for c in chosen)]:
        raise ValueError(f"no claim is called {', '.join(unknown)}: `gdl-lab claims` shows them all")
    # --json keeps the output to itself; the seeds of exact claims go beside it.
    with contextlib.redirect_stdout(sys.stderr), book.running.environment(GDL_LAB_PROFILE=profile):
        runtime.start(profile)
        return [_row(c, profile) for c in chosen]


def _row(claim: Claim, profile: str) -> dict[str, Any]:
    if not claim.runs_in(profile):
        return claim.unmeasured(profile)
    try:
        measured = claim.outcome()
    except Exception as reason:  # one broken claim must not hide the others
        print(f"{claim.id} could not be measured: {type(reason).__name__}: {reason}")
        return {**claim.unmeasured(profile), "holds": False}
    if "seed" in measured.extra:
        print(f"{claim.id}: seed {measured.extra['seed']}")
    return measured.row()


def _chosen(profile: str | None) -> str:
    """The profile that the line asks for, otherwise the environment's."""
    if profile is not None and profile not in runtime.PROFILES:
        raise ValueError(f"unknown profile {profile!r}: expected one of {', '.join(runtime.PROFILES)}")
    return profile or runtime.choose_profile()


def _expected(reason: Exception) -> bool:
    """Whether an error was written for the reader."""
    from gdl_lab.book import BookError
    from gdl_lab.data import DataError
    from gdl_lab.sweep import SweepError
    from gdl_lab.training import CheckpointError, Diverged

    return isinstance(reason, BookError | CheckpointError | DataError | Diverged | SweepError | ValueError)
