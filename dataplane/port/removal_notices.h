// Logs that a device is about to be removed from the running machine (hot unplug). The kernel asks
// through VFIO, and waits until this process ends: only then the device goes. Until then the port
// works, unless the device was pulled out.
#pragma once

#include <rte_dev.h>

#include <mutex>
#include <set>
#include <span>
#include <string>

#include "dataplane/port/port.h"

namespace fairlead {

class RemovalNotices {
 public:
  // Main thread. `ports` must outlive this.
  explicit RemovalNotices(std::span<const Port> ports);
  ~RemovalNotices();
  RemovalNotices(const RemovalNotices&) = delete;
  RemovalNotices& operator=(const RemovalNotices&) = delete;

 private:
  // EAL's interrupt thread. `device`: EAL's name. `self`: the RemovalNotices.
  static void OnEvent(const char* device, rte_dev_event_type event, void* self);
  void Log(const std::string& device);

  std::span<const Port> ports_;
  std::mutex mutex_;
  std::set<std::string> logged_;  // the kernel repeats its request
};

}  // namespace fairlead
