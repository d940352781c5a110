"""The NICs that QEMU emulates, and how a guest gets them."""
import dataclasses

from tests.lab.process import run

FIRST_SLOT = 0x10  # PCI slot of the first NIC: 0000:00:10.0


@dataclasses.dataclass(frozen=True)
class NicModel:
    """`options`: of QEMU's device, besides network, MAC and place. `queues`: pairs of a receive and a send queue.

    `spreads`: packets arrive in all of its queues. `needs_slot`: it is a PCI Express device with virtual functions.
    """
    device: str
    options: str = ""
    queues: int = 1
    spreads: bool = False
    needs_slot: bool = False


# iommu_platform: without it, virtio bypasses the emulated IOMMU and VFIO cannot use the device.
_VIRTIO = "disable-legacy=on,iommu_platform=on"
MODELS = {
    "e1000e": NicModel("e1000e"),
    "igb": NicModel("igb", queues=2, spreads=True, needs_slot=True),
    "vmxnet3": NicModel("vmxnet3", queues=2),
    "virtio": NicModel("virtio-net-pci", _VIRTIO),
    "virtio-multiqueue": NicModel("virtio-net-pci", f"{_VIRTIO},mq=on,vectors=6", queues=2, spreads=True),
    "e1000": NicModel("e1000"),
    "virtio-without-iommu": NicModel("virtio-net-pci", "disable-legacy=on"),
}


def known_to_qemu(name):
    """True if this host's QEMU has the device."""
    return f'name "{MODELS[name].device}"' in run(["qemu-system-x86_64", "-device", "help"]).stdout


@dataclasses.dataclass(frozen=True)
class Nic:
    """A NIC of a guest. `tap`: its interface on the host's side, which QEMU makes. `number`: 0 is the guest's first.

    With `removable`, it can be unplugged.
    """
    model: str
    tap: str
    mac: str
    number: int = 0
    removable: bool = False

    @property
    def id(self):
        return f"nic{self.number}"

    @property
    def in_slot(self):
        """It has a PCI Express slot, which gives it another PCI address. At most one NIC of a guest has."""
        return self.removable or MODELS[self.model].needs_slot

    @property
    def pci(self):
        # The slot is the guest's only bridge.
        return "0000:01:00.0" if self.in_slot else f"0000:00:{FIRST_SLOT + self.number:02x}.0"

    def arguments(self):
        """QEMU's arguments."""
        model = MODELS[self.model]
        # vmxnet3 takes the number of its queues from the guest; its network has one.
        queues = f",queues={model.queues}" if "mq=on" in model.options else ""
        options = f",{model.options}" if model.options else ""
        place, ports = f"addr={FIRST_SLOT + self.number:#x}", []
        if self.in_slot:
            place = f"bus=slot{self.number}"
            ports = ["-device", f"pcie-root-port,id=slot{self.number},chassis={self.number + 1},"
                                f"addr={FIRST_SLOT + self.number:#x}"]
        return [*ports, "-netdev", f"tap,id=net-{self.id},ifname={self.tap},script=no,downscript=no{queues}",
                "-device", f"{model.device},id={self.id},netdev=net-{self.id},mac={self.mac},{place}{options}"]
