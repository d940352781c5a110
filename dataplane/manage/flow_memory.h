// The flow table's memory, the one place that decides where it lives.
//
// With a name it is a file mapping that outlives the process, however that ends, for the next one to
// take up:
//
//   page 0    magic, layout version, epoch, bytes of the table
//   page 1..  the table (lib/flow/flow_table.h)
//
// in hugetlbfs where one is mounted that has pages to give, else in a folder of the caller's choice
// (on huge pages, if that is a tmpfs mounted with `huge=advise`).
// What is found there is taken up only if it is whole, of this boot of the host, this layout and
// this size; anything else is replaced by an empty table. Nothing there keeps a start from
// succeeding: at worst the memory is private, and says why.
//
// A new table costs address space only, until MakePresent: as long as every slot is settled and no
// service records all flows, nobody looks at it. From then on every page of it is there and mapped
// for writing: no worker waits for one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "lib/base/result.h"

namespace fairlead {

class FlowMemory {
 public:
  // Private: zeroed, page-aligned, not present; huge pages where the kernel has some to give.
  static Result<FlowMemory> Allocate(size_t bytes);

  struct Place {
    std::string folder;     // of the file when it is not in hugetlbfs
    std::string name;       // within it
    std::string huge_name;  // within hugetlbfs: unique on the host
    uint64_t epoch = 0;     // BootEpoch()
  };
  // A file mapping at `place`. Fails only when private memory is not to be had either.
  static Result<FlowMemory> Open(const Place& place, size_t bytes);

  ~FlowMemory();
  FlowMemory(FlowMemory&& other) noexcept;
  FlowMemory& operator=(FlowMemory&&) = delete;
  FlowMemory(const FlowMemory&) = delete;
  FlowMemory& operator=(const FlowMemory&) = delete;

  // The table's; zeros unless has_table(). REQUIRES MakePresent() before they are looked at, and
  // MarkFormatted() once there is a table in them.
  std::span<std::byte> bytes() const { return mapping_.subspan(offset_, table_bytes_); }
  // True when bytes() hold what an earlier process left.
  bool has_table() const { return has_table_; }
  // True when there was nothing yet.
  bool is_new() const { return is_new_; }
  // Where, and why not elsewhere or not what was there: one clause for the log.
  const std::string& story() const { return story_; }
  const std::string& path() const { return path_; }  // empty: private

  // Takes memory for all of it, once. Where the file's folder has no room it becomes private memory
  // at the same addresses, and story() says why. Fails when there is none either: then nothing has
  // changed. REQUIRES that no other thread looks at bytes().
  Status MakePresent();
  bool is_present() const { return is_present_; }

  // From now on the next process may take the table up. REQUIRES is_present().
  void MarkFormatted();

 private:
  struct Header;
  class File;
  FlowMemory(std::span<std::byte> mapping, size_t offset, size_t table_bytes)
      : mapping_(mapping), offset_(offset), table_bytes_(table_bytes) {}
  static Result<FlowMemory> Map(File* file, const std::string& path, uint64_t epoch, size_t bytes,
                                bool only_existing);
  std::string Judge(const File& file, uint64_t epoch, size_t size);
  Status GoPrivate(const std::string& why);

  std::span<std::byte> mapping_;
  size_t offset_;
  size_t table_bytes_;
  bool has_table_ = false;
  bool is_new_ = false;
  bool is_present_ = false;
  uint64_t epoch_ = 0;
  int fd_ = -1;  // holds the lock
  std::string path_;
  std::string story_;
};

}  // namespace fairlead
