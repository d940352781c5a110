"""Which NICs are tried."""
import os

LONG = bool(os.environ.get("FAIRLEAD_LONG"))
# NICs in one tuple share a guest. The first guest's are tried in every run, the others with --long.
BOOTS = (("e1000e", "virtio-multiqueue"), ("vmxnet3", "virtio", "e1000"), ("virtio-without-iommu",), ("igb",))
MODELS = [model for models in BOOTS for model in models] if LONG else list(BOOTS[0])
