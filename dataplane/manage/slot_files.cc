#include "dataplane/manage/slot_files.h"

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>
#include <unordered_map>

#define XXH_INLINE_ALL
#include <fcntl.h>
#include <unistd.h>
#include <xxhash.h>

#include <sys/stat.h>

#include "dataplane/manage/image_file.h"
#include "lib/host/own_files.h"

namespace fairlead {
namespace {

constexpr const char* kSuffix = ".slots";

Result<std::string> ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return Unavailable("cannot read it");
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// True for names that PathOf makes, and for StoreImageFile's temporary files beside them.
bool HasSlotFileName(std::string_view name) {
  if (name.ends_with(".new")) name.remove_suffix(4);
  constexpr size_t kDigits = 8;
  if (name.size() != kDigits + std::string_view(kSuffix).size() || !name.ends_with(kSuffix)) {
    return false;
  }
  return name.substr(0, kDigits).find_first_not_of("0123456789abcdef") == std::string_view::npos;
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

Result<std::vector<std::string>> SlotFiles::List() const {
  std::vector<std::string> paths;
  std::error_code error;
  if (!std::filesystem::exists(std::filesystem::symlink_status(directory_, error))) return paths;
  // Checks the folder before anything in it is read or removed.
  RETURN_IF_ERROR(MakePrivateFolder(directory_));
  for (const auto& entry : std::filesystem::directory_iterator(directory_, error)) {
    if (HasSlotFileName(entry.path().filename().string())) paths.push_back(entry.path().string());
  }
  return paths;
}

Result<SavedSlots> SlotFiles::Read(const std::string& path) const {
  ASSIGN_OR_RETURN(const UniqueFd file, OpenOwnFile(path, O_RDONLY));
  struct stat info = {};
  if (fstat(file.get(), &info) != 0) return Unavailable("cannot stat it");
  std::vector<std::byte> bytes(static_cast<size_t>(info.st_size));
  if (read(file.get(), bytes.data(), bytes.size()) != info.st_size) {
    return Unavailable("cannot read it");
  }
  ASSIGN_OR_RETURN(SavedSlots saved, DecodeSlots(bytes, epoch_));
  if (path != PathOf(saved.service_id))
    return DataLoss("slot states: they belong to another service");
  return saved;
}

SlotFiles::Contents SlotFiles::Look() const {
  Contents contents;
  const Result<std::vector<std::string>> paths = List();
  if (!paths.ok()) {
    contents.unusable.push_back({directory_, paths.status().message()});
    return contents;
  }
  for (const std::string& path : *paths) {
    Result<SavedSlots> saved = Read(path);
    if (saved.ok()) {
      contents.saved.push_back(*std::move(saved));
    } else if (saved.status().code() != ErrorCode::kNotFound) {  // else it was removed just now
      contents.unusable.push_back({path, saved.status().message()});
    }
  }
  return contents;
}

void SlotFiles::Remove(const std::string& path) {
  std::error_code ignored;
  std::filesystem::remove(path, ignored);
}

Status SlotFiles::Store(const ForwardingTables& tables, const ServiceEntry& service) const {
  RETURN_IF_ERROR(MakePrivateFolder(directory_));
  return StoreImageFile(PathOf(service.id), EncodeSlots(tables.SaveSlots(service), epoch_));
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
    const Status stored = Store(next, service);
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
