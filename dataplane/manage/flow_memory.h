// The flow table's memory. Only this class decides where the table lives.
//
// With a name, the memory is a file mapping. It outlives the process, however that ends, and the
// next process takes it over:
//
//   page 0    magic, layout version, epoch, bytes of the table
//   page 1..  the table (lib/flow/flow_table.h)
//
// The file is in hugetlbfs if one is mounted and has free pages. Otherwise it is in a folder that
// the caller chooses; it uses huge pages there if the folder is a tmpfs mounted with `huge=advise`.
//
// A process takes over an existing file only if it is complete and has this boot's epoch, this
// layout version and this size. Otherwise an empty table replaces it. No file can prevent a start:
// in the worst case the memory is private, with a reason.
//
// Until MakePresent, a new table uses address space only. No thread accesses it while every slot is
// settled and no service records all flows. After MakePresent, every page is present and mapped for
// writing, so no worker waits for one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "lib/base/result.h"

namespace fairlead {

class FlowMemory {
 public:
  // Private memory: zeroed, page-aligned, not present; with huge pages if the kernel has some.
  static Result<FlowMemory> Allocate(size_t bytes);

  struct Place {
    std::string folder;     // the file's folder if it is not in hugetlbfs
    std::string name;       // the file's name in `folder`
    std::string huge_name;  // the file's name in hugetlbfs; unique on the host
    uint64_t epoch = 0;     // BootEpoch()
  };
  // A file mapping at `place`, else private memory. Fails only if there is neither.
  static Result<FlowMemory> Open(const Place& place, size_t bytes);

  // The table at `place` as Open(place, bytes) would find it, mapped for reading. The process that
  // uses it may be running: nothing is locked or changed.
  class Glance;
  static Glance Look(const Place& place, size_t bytes);

  ~FlowMemory();
  FlowMemory(FlowMemory&& other) noexcept;
  FlowMemory& operator=(FlowMemory&&) = delete;
  FlowMemory(const FlowMemory&) = delete;
  FlowMemory& operator=(const FlowMemory&) = delete;

  // The table's bytes; zeros unless has_table(). REQUIRES MakePresent() before the first access,
  // and MarkFormatted() once they contain a table.
  std::span<std::byte> bytes() const { return mapping_.subspan(offset_, table_bytes_); }
  // True if bytes() contain the table of an earlier process.
  bool has_table() const { return has_table_; }
  // True if there was no table yet.
  bool is_new() const { return is_new_; }
  // One clause for the log: where the table is, and why no existing table or better place is used.
  const std::string& placement_reason() const { return placement_reason_; }
  const std::string& path() const { return path_; }  // empty: private

  // Allocates all pages, once. If the file's folder has no space, private memory replaces the
  // mapping at the same addresses, and placement_reason() says why. Fails if there is no private memory
  // either; nothing has changed then. REQUIRES that no other thread accesses bytes(). Takes about a
  // second for 2 GiB; `progress` (may be empty) is called after each GiB.
  Status MakePresent(const std::function<void()>& progress = {});
  bool is_present() const { return is_present_; }

  // From now on, the next process may take over the table. REQUIRES is_present().
  void MarkFormatted();

 private:
  struct Header;
  class File;
  struct Defect;
  FlowMemory(std::span<std::byte> mapping, size_t offset, size_t table_bytes)
      : mapping_(mapping), offset_(offset), table_bytes_(table_bytes) {}
  static Result<FlowMemory> Map(File* file, const std::string& path, uint64_t epoch, size_t bytes,
                                bool only_existing);
  static Defect DefectOf(int fd, size_t file_bytes, uint64_t epoch, size_t table_bytes);
  static Glance LookAt(const std::string& path, uint64_t epoch, size_t bytes);
  Status GoPrivate(const std::string& why);

  std::span<std::byte> mapping_;
  size_t offset_;
  size_t table_bytes_;
  bool has_table_ = false;
  bool is_new_ = false;
  bool is_present_ = false;
  uint64_t epoch_ = 0;
  int fd_ = -1;  // holds the file's lock
  std::string path_;
  std::string placement_reason_;
};

class FlowMemory::Glance {
 public:
  Glance() = default;
  ~Glance();
  Glance(Glance&& other) noexcept;
  Glance& operator=(Glance&& other) noexcept;
  Glance(const Glance&) = delete;
  Glance& operator=(const Glance&) = delete;

  // Empty: no process has left a table, or a file that no process has needed yet.
  const std::string& path() const { return path_; }
  // Why Open would not take the table over, such as "had another size". Empty: it would.
  const std::string& defect() const { return defect_; }
  bool has_usable_table() const { return !path_.empty() && defect_.empty(); }
  // The table, also one of another size. Empty if it cannot be read.
  std::span<const std::byte> bytes() const { return mapping_.subspan(offset_); }

 private:
  friend class FlowMemory;
  std::string path_;
  std::string defect_;
  std::span<const std::byte> mapping_;
  size_t offset_ = 0;
};

}  // namespace fairlead
