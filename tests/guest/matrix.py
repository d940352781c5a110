"""The table of NICs: one cell for each NIC and each thing that is tried on it, with its outcome.

An outcome is `ok`, `refused: SENTENCE` (what Fairlead said), `not tried: why`, or `failed: what`. expected.json has the
outcomes that are right (`refused` alone: with any sentence); a test compares each cell with it. The table is written to guest-nics.json and guest-nics.md.
"""
import json
import pathlib

from tests.guest.cells import CELLS, Needs
from tests.guest.guest_lab import DataplaneEnded, DataplaneStuck, GuestLab
from tests.lab import LabError, wait_until
from tools.vm.nics import known_to_qemu

EXPECTED = pathlib.Path(__file__).with_name("expected.json")


class Matrix:
    """Runs cells, and keeps the guest and the dataplane of the last one for the next. `boots`: which NICs share a guest."""

    def __init__(self, build, boots, log_folder):
        self._build = build
        self._boots = boots
        self._log_folder = pathlib.Path(log_folder)
        self._lab = None
        self._models = None
        self._running = None  # (model, needs)
        self._tags = None  # of the guest's network; wan0 outlives the dataplane, with its addresses
        self._refused = {}  # (model, needs): the error of its start
        self._stuck = {}  # model: the error of a start that did not end; models: that of their guest. Not tried again
        self.outcomes = {}  # model: {cell: outcome}
        self.notes = {}

    def try_cell(self, model, name):
        """Tries the cell. Returns its outcome. Raises what the cell raises if it fails."""
        row = self.outcomes.setdefault(model, {})
        if not known_to_qemu(model):
            row[name] = f"not tried: this host's QEMU has no {model}"
            return row[name]
        cell = CELLS[name]
        row[name] = "failed: it was interrupted"
        try:
            if error := self._stuck.get(model) or self._refused.get((model, cell.needs)):
                raise error
            self._prepare(model, cell.needs)
            if cell.ends:
                self._running = None
            cell.run(self._lab)
            row[name] = "ok"
        except DataplaneEnded as ended:
            self._refused[model, cell.needs] = ended
            self._running = None
            row[name] = f"refused: {ended.sentence}"
        except BaseException as error:
            row[name] = f"failed: {str(error).splitlines()[0][:300] if str(error) else type(error).__name__}"
            self._running = None  # whatever state it is in
            raise
        finally:
            self._take_notes(model, name)
        return row[name]

    def _take_notes(self, model, name):
        if self._lab and self._lab.notes:
            self.notes.setdefault(model, {})[name] = "; ".join(self._lab.notes)
            self._lab.notes.clear()

    # ---- the guest and the dataplane --------------------------------------------------------------------------------

    def _boot(self, model):
        models = next(models for models in self._boots if model in models)
        if self._models == models:
            return
        if error := self._stuck.get(models):
            raise error
        self.close()
        self._lab = GuestLab(self._build, models)
        try:
            self._lab.__enter__()
            self._lab.start_guest()
            self._lab.start_backends()
        except LabError as error:
            self._stuck[models] = error
            raise
        self._models = models

    def _prepare(self, model, needs):
        self._boot(model)
        lab = self._lab
        if self._running == (model, needs):
            return
        if self._running and self._starts_alike(self._running, (model, needs)):
            self._running = None
        else:
            if self._running:
                self._running = None
                lab.stop_dataplane()
            else:
                lab.end_dataplane()
            lab.set_mtu(needs.mtu)
            lab.use(next(nic for nic in lab.guest.nics if nic.model == model))
            if not needs.kernel:
                lab.guest.ssh("ip link delete wan0 2>/dev/null; true")
                self._tags = None
            try:
                lab.start_dataplane(workers=needs.workers, mtu=needs.mtu, kernel=needs.kernel)
            except DataplaneStuck as stuck:
                self._stuck[model] = stuck
                raise
        lab.tag(*needs.tags)
        if needs.kernel and self._tags != needs.tags:
            lab.configure_network(*needs.tags)
            self._tags = needs.tags
        if lab.control is None:
            lab.start_control()
            lab.add_services()
        if needs.kernel and len(needs.tags) < 2:
            lab.wait_all_healthy()
        else:
            wait_until(lab.in_force, 30 * lab.guest.patience, "the services are not in force", 0.2)
        self._running = (model, needs)

    @staticmethod
    def _starts_alike(one, other):
        """True if the two need the same start of the dataplane: VLAN tags need none."""
        def start(running):
            model, needs = running
            return model, Needs(needs.workers, needs.mtu, needs.kernel)
        return start(one) == start(other)

    def close(self):
        lab, self._lab, self._models, self._running, self._tags = self._lab, None, None, None, None
        if lab:
            lab.close()

    def tails(self):
        return self._lab.tails() if self._lab else ""

    # ---- the table --------------------------------------------------------------------------------------------------

    def write(self):
        """Writes the table of the cells that were tried."""
        if not self.outcomes:
            return
        self._log_folder.mkdir(parents=True, exist_ok=True)
        table = {"outcomes": self.outcomes, "notes": self.notes}
        (self._log_folder / "guest-nics.json").write_text(json.dumps(table, indent=2) + "\n")
        (self._log_folder / "guest-nics.md").write_text(markdown(self.outcomes, self.notes))


def is_right(outcome, expected):
    return outcome == expected or expected == "refused" and outcome.startswith("refused: ")


def markdown(outcomes, notes):
    """The table, a column for each NIC. Outcomes other than `ok` are below it, in full."""
    models = list(outcomes)
    lines = ["| | " + " | ".join(models) + " |", "|---" * (len(models) + 1) + "|"]
    for name in CELLS:
        words = [outcomes[model].get(name, "").split(":")[0] for model in models]
        if any(words):
            lines.append(f"| {name} | " + " | ".join(words) + " |")
    lines.append("")
    for model in models:
        for name, outcome in outcomes[model].items():
            note = notes.get(model, {}).get(name)
            if outcome != "ok" or note:
                lines.append(f"- {model}, {name}: {outcome}" + (f" ({note})" if note else ""))
    return "\n".join(lines) + "\n"
