// Slot states in files: one file for each service with slots that are not settled. From them, a
// restarted dataplane knows which flows are older than a change. Management thread.
//
// Each file is replaced in one step, before workers see its tables. Whenever the process dies, the
// files describe the tables in force or the tables about to be in force.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lib/base/result.h"
#include "lib/host/own_files.h"
#include "lib/table/forwarding_tables.h"
#include "lib/table/slot_image.h"

namespace fairlead {

// Identifies this boot of the host. Coarse ticks count from the boot.
uint64_t BootEpoch();

class SlotFiles {
 public:
  SlotFiles(std::string directory, uint64_t epoch)
      : directory_(std::move(directory)), epoch_(epoch) {}

  // A file that cannot be used, or the folder.
  struct Unusable {
    std::string path;
    std::string why;
  };
  struct Contents {
    std::vector<SavedSlots> saved;
    std::vector<Unusable> unusable;
  };
  // Reads the files of an earlier process. Changes nothing: that process may be running.
  Contents Look() const;
  // Loads the files of an earlier process. Removes files that cannot be used, and calls `complain`
  // with the reason.
  template <typename Complain>
  std::vector<SavedSlots> Load(Complain&& complain) const;

  // Updates the files from `previous` (may be null) to `next`: writes changed services, removes
  // those that are gone or settled.
  Status Save(const ForwardingTables& next, const ForwardingTables* previous) const;
  // Removes the files of services whose slots are all settled.
  void RemoveSettled(const ForwardingTables& tables) const;

 private:
  std::string PathOf(uint32_t service_id) const;
  // The files with names of our form. Fails if the folder is not ours.
  Result<std::vector<std::string>> List() const;
  Status Store(const ForwardingTables& tables, const ServiceEntry& service) const;
  Result<SavedSlots> Read(const std::string& path) const;
  static void Remove(const std::string& path);

  std::string directory_;
  uint64_t epoch_;
};

template <typename Complain>
std::vector<SavedSlots> SlotFiles::Load(Complain&& complain) const {
  Contents contents = Look();
  for (const Unusable& each : contents.unusable) {
    complain(each.path == directory_ ? each.why : each.path + ": " + each.why);
    if (each.path != directory_ && CheckOwnFile(each.path).ok()) Remove(each.path);
  }
  return std::move(contents.saved);
}

}  // namespace fairlead
