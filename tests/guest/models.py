"""Which NICs and cells are tried."""
import os

from tests.guest.cells import CAPABILITIES, CELLS

LONG = bool(os.environ.get("FAIRLEAD_LONG"))
# NICs in one tuple share a guest. The first guest's are tried in every run, the others with --long.
BOOTS = (("virtio-multiqueue", "e1000e"), ("vmxnet3", "virtio", "e1000"), ("virtio-without-iommu",), ("igb",))
# Cells of a guest's second NIC that are tried with --long only. They depend on the NIC least, or take long.
_LONG = {CAPABILITIES, "checks", "ssh", "jumbo-without-tap"}


def tries():
    """(NIC, cell) of every test."""
    if LONG:
        return [(model, cell) for models in BOOTS for model in models for cell in CELLS]
    first, *others = BOOTS[0]
    return [(first, cell) for cell in CELLS] + [(model, cell) for model in others for cell in CELLS if cell not in _LONG]
