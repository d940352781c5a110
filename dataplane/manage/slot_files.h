// Slot states in files, one a service that has unsettled slots, so that a dataplane that is started
// again knows which of its flows are older than a change. Management thread.
//
// Each file is replaced in one step, before workers see the tables that it describes: whenever the
// process dies, the files are of the tables in force or of the ones about to be.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lib/base/result.h"
#include "lib/host/own_files.h"
#include "lib/table/forwarding_tables.h"
#include "lib/table/slot_image.h"

namespace fairlead {

// Tells one boot of the host from another: coarse ticks count from it.
uint64_t BootEpoch();

class SlotFiles {
 public:
  SlotFiles(std::string directory, uint64_t epoch)
      : directory_(std::move(directory)), epoch_(epoch) {}

  // What an earlier process left. What is of no use is removed, and `complain` told why.
  template <typename Complain>
  std::vector<SavedSlots> Load(Complain&& complain) const;

  // Brings the files from `previous` (may be null) to `next`: writes what changed, removes what is
  // gone or settled.
  Status Save(const ForwardingTables& next, const ForwardingTables* previous) const;
  // Removes the files of services that have settled.
  void RemoveSettled(const ForwardingTables& tables) const;

 private:
  std::string PathOf(uint32_t service_id) const;
  // Files that are named as ours are. A failure: the folder is none of ours.
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
