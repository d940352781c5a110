#include "dataplane/port/removals.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <thread>
#include <utility>

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
  if (why_.empty()) return {};
  return FailedPrecondition(why_);
}

bool Removals::End(std::string why) {
  {
    const std::lock_guard lock(mutex_);
    if (!why_.empty()) return false;
    why_ = std::move(why);
  }
  kill(getpid(), SIGTERM);
  return true;
}

void Removals::OnEvent(const char* device, rte_dev_event_type event, void* self) {
  if (event != RTE_DEV_EVENT_REMOVE || device == nullptr) return;
  auto* removals = static_cast<Removals*>(self);
  const auto& ports = removals->ports_;
  const auto port = std::find_if(ports.begin(), ports.end(),
                                 [&](const Port& each) { return each.device == device; });
  const bool is_first =  // the kernel repeats its request
      removals->End((port == ports.end() ? "" : "port " + port->name + ": ") + device +
                    " was removed from this machine; plug it in again, or take it out of "
                    "dataplane.yaml");
  if (is_first) spdlog::error("{} is being removed from this machine: ending", device);
}

}  // namespace fairlead
