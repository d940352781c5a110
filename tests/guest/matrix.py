"""The table of NICs: one cell for each NIC and each thing that is tried on it, with its outcome.

An outcome is `ok` (or a row of capabilities), `refused: SENTENCE` (what Fairlead said), `not tried: why`, or
`failed: what`. expected.json has the outcomes that are right, which a test compares with each cell, and from which
nics_doc.py writes tables into docs/operations.md. The tables of a run are in guest-nics.json and guest-nics.md.
"""
import json
import pathlib

from tests.guest import nics_doc
from tests.guest.cells import CELLS, Needs
from tests.guest.guest_lab import DataplaneEnded, GuestLab
from tests.lab import LabError, wait_until
from tools.vm.nics import known_to_qemu


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
        self._refused = {}  # (model, needs), or model if no start ends by itself: the error of its start
        self._no_guest = {}  # models: the error of their guest's start. It is not tried again
        self.outcomes = {}  # model: {cell: outcome}
        self.notes = {}

    def try_cell(self, model, name):
        """Tries the cell. Returns its outcome. Raises what the cell raises if it fails."""
        row = self.outcomes.setdefault(model, {})
        if not known_to_qemu(model):
            row[name] = f"not tried: this host's QEMU has no {model}"
            return row[name]
        cell = CELLS[name]
        needs = cell.needs or self._needs_of_last(model)
        row[name] = "failed: it was interrupted"
        try:
            if error := self._refused.get(model) or self._refused.get((model, needs)):
                raise error
            self._prepare(model, needs)
            if cell.ends:
                self._running = None
            row[name] = cell.run(self._lab) or "ok"
        except DataplaneEnded as ended:
            self._refused[model if ended.hung else (model, needs)] = ended
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

    def _needs_of_last(self, model):
        """What the cell before needed, if it was of this NIC."""
        return self._running[1] if self._running and self._running[0] == model else Needs()

    # ---- the guest and the dataplane --------------------------------------------------------------------------------

    def _boot(self, model):
        models = next(models for models in self._boots if model in models)
        if self._models == models:
            return
        if error := self._no_guest.get(models):
            raise error
        self.close()
        self._lab = GuestLab(self._build, models)
        try:
            self._lab.__enter__()
            self._lab.start_guest()
        except LabError as error:
            self._no_guest[models] = error
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
            lab.start_dataplane(workers=needs.workers, mtu=needs.mtu, kernel=needs.kernel)
        lab.tag(*needs.tags)
        if needs.kernel and self._tags != needs.tags:
            lab.configure_network(*needs.tags)
            self._tags = needs.tags
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
        found = {"outcomes": self.outcomes, "notes": self.notes}
        (self._log_folder / "guest-nics.json").write_text(json.dumps(found, indent=2) + "\n")
        text = "\n".join([nics_doc.capabilities_table(self.outcomes), nics_doc.outcomes_table(self.outcomes),
                          *(f"- {model}, {name}: {note}" for model, row in self.notes.items() for name, note in row.items())])
        (self._log_folder / "guest-nics.md").write_text(text + "\n")
