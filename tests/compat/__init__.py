"""Compatibility with the base release: the files that it wrote, and its programs together with today's."""
import pathlib

HERE = pathlib.Path(__file__).resolve().parent
# Two lines: the commit, the release.
BASE_COMMIT, BASE_RELEASE = (HERE / "base").read_text().split()
RECORDED = HERE / f"v{BASE_RELEASE}"
