"""Programs of different releases together: what release 0.1.0 wrote, and its programs beside today's."""
import pathlib

HERE = pathlib.Path(__file__).resolve().parent
# Two lines: the commit, the release.
BASE_COMMIT, BASE_RELEASE = (HERE / "base").read_text().split()
RECORDED = HERE / f"v{BASE_RELEASE}"
