// Ends the dataplane when one of its devices is being removed from the running machine (hot
// unplug), or when the interface of a port is another than at the start (PortLinks finds that).
//
// For a hot unplug, the kernel asks for the device through VFIO, and waits until this process has
// closed it. It must not wait for long: meanwhile, other programs hang that read about the device
// in /sys, such as systemd-journald.
#pragma once

#include <rte_dev.h>

#include <mutex>
#include <span>
#include <string>

#include "dataplane/port/port.h"
#include "lib/base/result.h"

namespace fairlead {

class Removals {
 public:
  // Main thread. `ports` must outlive this.
  explicit Removals(std::span<const Port> ports);
  ~Removals();
  Removals(const Removals&) = delete;
  Removals& operator=(const Removals&) = delete;

  // Sends this process SIGTERM. `why`: one sentence, for status(). Later calls have no effect.
  // Returns false if it was called before. Any thread.
  bool End(std::string why);
  // Not OK once End was called. Any thread.
  Status status() const;

 private:
  // EAL's interrupt thread. `device`: EAL's name. `self`: the Removals.
  static void OnEvent(const char* device, rte_dev_event_type event, void* self);

  std::span<const Port> ports_;
  mutable std::mutex mutex_;
  std::string why_;  // "" = the process need not end. Held while accessed: mutex_
};

}  // namespace fairlead
