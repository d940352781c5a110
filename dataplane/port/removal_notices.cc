#include "dataplane/port/removal_notices.h"

#include <algorithm>
#include <cerrno>
#include <thread>

#include <spdlog/spdlog.h>

namespace fairlead {

RemovalNotices::RemovalNotices(std::span<const Port> ports) : ports_(ports) {
  // All devices: also the members of a bond.
  if (rte_dev_event_callback_register(nullptr, OnEvent, this) != 0) {
    spdlog::warn("EAL accepts no callback: the removal of devices will not be logged");
  }
}

RemovalNotices::~RemovalNotices() {
  // EAGAIN: the callback is running.
  while (rte_dev_event_callback_unregister(nullptr, OnEvent, this) == -EAGAIN) {
    std::this_thread::yield();
  }
}

void RemovalNotices::OnEvent(const char* device, rte_dev_event_type event, void* self) {
  if (event != RTE_DEV_EVENT_REMOVE || device == nullptr) return;
  static_cast<RemovalNotices*>(self)->Log(device);
}

void RemovalNotices::Log(const std::string& device) {
  const std::lock_guard lock(mutex_);
  if (!logged_.insert(device).second) return;
  const auto port = std::find_if(ports_.begin(), ports_.end(),
                                 [&](const Port& each) { return each.device == device; });
  spdlog::error(
      "{}{} is being removed from this machine, which waits until the dataplane lets go of it; "
      "stop "
      "the dataplane, or remove the device from dataplane.yaml and restart it",
      port == ports_.end() ? "" : "port " + port->name + ": ", device);
}

}  // namespace fairlead
