#include "dataplane/manage/state_files.h"

#include <cstring>
#include <filesystem>

#include <spdlog/spdlog.h>
#include <sys/stat.h>

namespace fairlead {

StateFiles StateFiles::Beside(const std::string& link_path) {
  const std::filesystem::path link = std::filesystem::absolute(link_path);
  const std::string stem = link.stem().string();
  StateFiles files;
  files.flows.folder = link.parent_path().string();
  files.flows.name = stem + ".flows";
  files.flows.epoch = BootEpoch();
  // In different mount namespaces, one path may name different folders. Their inodes differ.
  struct stat info = {};
  if (stat(files.flows.folder.c_str(), &info) != 0) info = {};
  files.flows.huge_name = "fairlead-" + std::to_string(info.st_dev) + "-" +
                          std::to_string(info.st_ino) + "-" + files.flows.name;
  files.slots = files.flows.folder + "/" + stem + ".slots";
  files.snapshot = files.flows.folder + "/" + stem + ".snapshot";
  return files;
}

Result<FlowTable> OpenFlowTable(uint64_t records, FlowMemory* memory,
                                uint64_t* records_taken_over) {
  uint64_t found = 0;
  if (records_taken_over == nullptr) records_taken_over = &found;
  *records_taken_over = 0;
  if (memory->has_table()) {
    RETURN_IF_ERROR(memory->MakePresent());
    Result<FlowTable> table = FlowTable::Attach(memory->bytes(), records_taken_over);
    if (table.ok()) {
      spdlog::info("flow table: taken over from {}, {} records", memory->path(),
                   *records_taken_over);
      return table;
    }
    spdlog::warn("flow table: starts empty: {}: {}", memory->path(), table.status().message());
    std::memset(memory->bytes().data(), 0, memory->bytes().size());
    FlowTable::FormatZeroedMemory(memory->bytes(), records);
  } else if (!memory->path().empty() && memory->is_new()) {
    spdlog::info("flow table: starts empty: {}", memory->placement_reason());
  } else if (!memory->placement_reason().empty()) {
    spdlog::warn("flow table: starts empty: {}", memory->placement_reason());
  }
  return FlowTable::ViewOfUnformatted(memory->bytes(), records);
}

Result<Flows> OpenFlows(uint64_t records, const std::optional<FlowMemory::Place>& place) {
  const size_t bytes = FlowTable::BytesNeeded(records);
  ASSIGN_OR_RETURN(FlowMemory memory,
                   place ? FlowMemory::Open(*place, bytes) : FlowMemory::Allocate(bytes));
  uint64_t taken_over = 0;
  ASSIGN_OR_RETURN(const FlowTable table, OpenFlowTable(records, &memory, &taken_over));
  return Flows{std::move(memory), table, taken_over};
}

Status MakeFlowsPresent(uint64_t records, FlowMemory* memory,
                        const std::function<void()>& progress) {
  if (memory->is_present()) return {};
  const bool is_private = memory->path().empty();
  RETURN_IF_ERROR(memory->MakePresent(progress));
  if (memory->path().empty() && !is_private) {
    spdlog::warn("flow table: uses {}", memory->placement_reason());
  }
  FlowTable::FormatZeroedMemory(memory->bytes(), records);
  memory->MarkFormatted();
  return {};
}

}  // namespace fairlead
