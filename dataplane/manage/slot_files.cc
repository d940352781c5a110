#include "dataplane/manage/slot_files.h"

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>
#include <unordered_map>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "dataplane/manage/image_file.h"

namespace fairlead {
namespace {

constexpr const char* kSuffix = ".slots";

Result<std::string> ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return Unavailable("it cannot be read");
  return std::string(std::istreambuf_iterator<char>(file), {});
}

}  // namespace

uint64_t BootEpoch() {
  const Result<std::string> id = ReadFile("/proc/sys/kernel/random/boot_id");
  return id.ok() ? XXH3_64bits(id->data(), id->size()) : 0;
}

std::string SlotFiles::PathOf(uint32_t service_id) const {
  char name[32];
  std::snprintf(name, sizeof(name), "/%08x%s", service_id, kSuffix);
  return directory_ + name;
}

std::vector<std::string> SlotFiles::List() const {
  std::vector<std::string> paths;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory_, error)) {
    if (entry.is_regular_file(error)) paths.push_back(entry.path().string());
  }
  return paths;
}

Result<SavedSlots> SlotFiles::Read(const std::string& path) const {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  ASSIGN_OR_RETURN(SavedSlots saved, DecodeSlots(std::as_bytes(std::span(text)), epoch_));
  if (path != PathOf(saved.service_id)) return DataLoss("slot states: they are another service's");
  return saved;
}

void SlotFiles::Remove(const std::string& path) {
  std::error_code ignored;
  std::filesystem::remove(path, ignored);
}

Status SlotFiles::Save(const ForwardingTables& next, const ForwardingTables* previous) const {
  std::unordered_map<uint32_t, const SlotTable*> before;
  if (previous != nullptr) {
    for (const ServiceEntry& service : previous->services()) {
      before[service.id] = service.slot_table.get();
    }
  }
  Status result;
  for (const ServiceEntry& service : next.services()) {
    const auto found = before.find(service.id);
    const bool same = found != before.end() && found->second == service.slot_table.get();
    if (found != before.end()) before.erase(found);
    if (same) continue;
    if (service.slot_table->all_settled()) {
      Remove(PathOf(service.id));
      continue;
    }
    std::error_code ignored;
    std::filesystem::create_directory(directory_, ignored);
    const Status stored =
        StoreImageFile(PathOf(service.id), EncodeSlots(next.SaveSlots(service), epoch_));
    if (!stored.ok()) result = stored;
  }
  for (const auto& [id, slots] : before) Remove(PathOf(id));
  return result;
}

void SlotFiles::RemoveSettled(const ForwardingTables& tables) const {
  for (const ServiceEntry& service : tables.services()) {
    if (service.slot_table->all_settled()) Remove(PathOf(service.id));
  }
}

}  // namespace fairlead
