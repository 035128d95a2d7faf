"""Results that are not all there: runs that failed, points without a run, a sweep that nobody has named."""

from dataclasses import replace

from blockspace.experiments.results import Results

UNNAMED = {"kind": "sweep", "name": "sweep", "question": "What do the settings that were varied do?", "until": []}
"""What a sweep is called that was run without saying what it is for."""


def what_is_there(results: Results) -> Results:
    """Results without the points of which no run is there yet; where that is the reference point, another one is.

    Statistics and figures can be made of them as of any others.
    """
    study = {**UNNAMED, **results.study}
    there = set(results.runs["point"])
    points = [point for point in study["points"] if point["name"] in there]
    reference = study["reference"] if study["reference"] in there else points[0]["name"]
    if study["kind"] == "sensitivity":
        points = study["points"]  # its method needs all of them, and knows what it cannot say yet
    return replace(results, study={**study, "points": points, "reference": reference})


def what_is_missing(results: Results) -> list[str]:
    """Sentences on runs that failed or have not been made."""
    told = []
    count, failed = len(results.runs), len(results.failed)
    if failed:
        where = "index.parquet" if (results.folder / "index.parquet").exists() else "runs/"
        told.append(f"{failed} of {count} runs failed; {where} and failures/ hold what they said.")
    if not results.is_complete:
        wanted = len(results.points) * len(results.study["seeds"])
        told.append(f"{count} of {wanted} runs are there; the command that began it continues.")
    reference, stands_for_it = results.study["reference"], what_is_there(results).study["reference"]
    if reference != stands_for_it and results.study.get("kind") != "sensitivity":
        told.append(f"Of {reference}, the reference point, there is no run yet; {stands_for_it} stands for it.")
    return told
