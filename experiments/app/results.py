"""The page of results: any folder that a run, a sweep or a study has left."""

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import solara

from blockspace.experiments.app.panel import panel
from blockspace.experiments.errors import UserError
from blockspace.experiments.reports.report import require_folder

MOST_ROWS = 500
"""Rows of a table that are shown; the file has them all."""

PLACE = Path("results")
"""Where folders are looked for, in the folder where the application was started."""

TABLES = (".csv", ".parquet")


def results_folders(place: Path = PLACE) -> list[str]:
    """Results folders in a place, newest first."""
    found = []
    for folder in place.iterdir() if place.is_dir() else ():
        try:
            require_folder(folder)
        except UserError:
            continue
        found.append(folder)
    return [str(folder) for folder in sorted(found, key=lambda one: -one.stat().st_mtime)]


def files_of(folder: Path) -> list[Path]:
    """What may be looked at and downloaded: the files that a results folder holds, none of them hidden."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def read_table(file: Path) -> tuple[pd.DataFrame, int]:
    """The first rows of a table, and how many there are."""
    if file.suffix == ".csv":
        frame = pd.read_csv(file)
        return frame.head(MOST_ROWS), len(frame)
    parquet = pq.ParquetFile(file)
    batch = next(parquet.iter_batches(MOST_ROWS), None)
    return (pd.DataFrame() if batch is None else batch.to_pandas()), parquet.metadata.num_rows


@solara.component
def ResultsPage() -> None:
    """Choose a folder and look around in it."""
    known = solara.use_memo(results_folders, [])
    typed, set_typed = solara.use_state(known[0] if known else "")
    folder = Path(typed).expanduser()
    problem = ""
    if typed.strip():
        try:
            require_folder(folder)
        except UserError as error:
            problem = str(error)
    with solara.v.Html(tag="div", class_="bs-view"):
        solara.v.Html(
            tag="p",
            class_="bs-lead",
            children=["What a run with --out, a sweep or a study has left: its tables and figures, and all files."],
        )
        with solara.v.Html(tag="div", class_="bs-bar"):
            if known:
                solara.Select("Folders here", known, typed if typed in known else None, on_value=set_typed)
            solara.InputText("Results folder", typed, on_value=set_typed, error=problem or False)
        if typed.strip() and not problem:
            Folder(str(folder)).key(str(folder))
        elif not typed.strip():
            solara.v.Html(
                tag="p",
                class_="bs-empty",
                children=["No results here yet. blockspace study capacity --quick makes some in a minute."],
            )


@solara.component
def Folder(name: str) -> None:
    """Figures, tables and files of a results folder."""
    folder = Path(name)
    files = solara.use_memo(lambda: files_of(folder), [name])
    tables = [file for file in files if file.suffix in TABLES]
    figures = [file for file in files if file.suffix == ".png"]
    preferred = sorted(tables, key=lambda file: (file.stem not in ("table", "blocks"), len(file.parts)))
    chosen, set_chosen = solara.use_state(str(preferred[0].relative_to(folder)) if preferred else "")
    summary = folder / "summary.json"

    def show_table() -> None:
        solara.Select("Table", [str(file.relative_to(folder)) for file in tables], chosen, on_value=set_chosen)
        try:
            frame, rows = read_table(folder / chosen)
        except (OSError, ValueError) as error:
            solara.Error(f"{chosen} cannot be read: {error}")
            return
        solara.DataFrame(frame, items_per_page=10, scrollable=True)
        if rows > len(frame):
            solara.v.Html(tag="p", class_="bs-about", children=[f"The first {len(frame):,} of {rows:,} rows."])

    def show_figures() -> None:
        for file in figures:
            with solara.v.Html(tag="figure", class_="bs-print"):
                solara.Image(file, width="100%")
                solara.v.Html(tag="figcaption", children=[str(file.relative_to(folder))])

    def show_summary() -> None:
        solara.v.Html(tag="pre", children=[summary.read_text(encoding="utf-8")])

    def show_files() -> None:
        with solara.v.Html(tag="div", class_="bs-files"):
            for file in files:
                size = file.stat().st_size
                shown = f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{max(size / 1e3, 0.1):.1f} kB"
                solara.FileDownload(
                    lambda file=file: file.open("rb"),
                    filename=file.name,
                    label=f"{file.relative_to(folder)} ({shown})",
                )

    with solara.v.Html(tag="div", class_="bs-grid"):
        panel("Tables", "The first rows of a table of the folder.", show_table, None if tables else "No tables.", True)
        panel("Figures", "As the study or sweep drew them.", show_figures,
              None if figures else "No figures: blockspace show draws those of a sweep.", True)  # fmt: skip
        if summary.is_file():
            panel("Summary", "What came out of the run.", show_summary, None, True)
        panel("Files", "Everything that is in the folder, to download.", show_files, None, True)
