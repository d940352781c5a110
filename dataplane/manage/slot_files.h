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
  std::vector<SavedSlots> all;
  const Result<std::vector<std::string>> paths = List();
  if (!paths.ok()) complain(paths.status().message());
  for (const std::string& path : paths.ok() ? *paths : std::vector<std::string>{}) {
    Result<SavedSlots> saved = Read(path);
    if (saved.ok()) {
      all.push_back(*std::move(saved));
      continue;
    }
    complain(path + ": " + saved.status().message());
    if (CheckOwnFile(path).ok()) Remove(path);
  }
  return all;
}

}  // namespace fairlead
