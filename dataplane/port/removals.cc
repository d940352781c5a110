#include "dataplane/port/removals.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <thread>

#include <spdlog/spdlog.h>

namespace fairlead {

Removals::Removals(std::span<const Port> ports) : ports_(ports) {
  // All devices: also the members of a bond.
  if (rte_dev_event_callback_register(nullptr, OnEvent, this) != 0) {
    spdlog::warn(
        "EAL accepts no callback: the dataplane will not release a device that is removed");
  }
}

Removals::~Removals() {
  // EAGAIN: the callback is running.
  while (rte_dev_event_callback_unregister(nullptr, OnEvent, this) == -EAGAIN) {
    std::this_thread::yield();
  }
}

Status Removals::status() const {
  const std::lock_guard lock(mutex_);
  if (device_.empty()) return {};
  const auto port = std::find_if(ports_.begin(), ports_.end(),
                                 [&](const Port& each) { return each.device == device_; });
  return FailedPrecondition((port == ports_.end() ? "" : "port " + port->name + ": ") + device_ +
                            " was removed from this machine; plug it in again, or take it out of "
                            "dataplane.yaml");
}

void Removals::OnEvent(const char* device, rte_dev_event_type event, void* self) {
  if (event != RTE_DEV_EVENT_REMOVE || device == nullptr) return;
  auto* removals = static_cast<Removals*>(self);
  {
    const std::lock_guard lock(removals->mutex_);
    if (!removals->device_.empty()) return;  // the kernel repeats its request
    removals->device_ = device;
  }
  spdlog::error("{} is being removed from this machine: ending", device);
  kill(getpid(), SIGTERM);
}

}  // namespace fairlead
