#include "dataplane/manage/flow_memory.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <linux/mman.h>  // MADV_COLLAPSE, which Debian 12's libc does not have
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "lib/base/error_text.h"
#include "lib/host/own_files.h"

namespace fairlead {
namespace {

constexpr uint64_t kMagic = 0x574f4c464446;  // "FDFLOW" as it lies in memory
constexpr uint32_t kLayoutVersion = 1;
constexpr size_t kTableOffset = 4096;
constexpr size_t kPartBytes = size_t{1} << 30;  // a multiple of every huge page's size
constexpr int kLockAttempts = 50;
constexpr useconds_t kLockPauseUs = 10'000;

// The first mounted hugetlbfs, and its page size.
struct HugeMount {
  std::string folder;
  size_t page_bytes = 0;
};
std::optional<HugeMount> FindHugeMount() {
  std::ifstream mounts("/proc/self/mounts");
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream words(line);
    std::string device;
    std::string folder;
    std::string type;
    if (!(words >> device >> folder >> type) || type != "hugetlbfs") continue;
    struct statfs info = {};
    if (statfs(folder.c_str(), &info) != 0) continue;
    return HugeMount{folder, static_cast<size_t>(info.f_bsize)};
  }
  return std::nullopt;
}

size_t RoundUp(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

// The length of a file with a table of `table_bytes`, in the file system of `fd`.
size_t FileBytes(int fd, size_t table_bytes) {
  struct statfs info = {};
  const size_t page_bytes =
      fstatfs(fd, &info) == 0 ? static_cast<size_t>(info.f_bsize) : kTableOffset;
  return RoundUp(kTableOffset + table_bytes, page_bytes);
}

// Where a table may be, the best place first.
std::vector<std::string> PathsOf(const FlowMemory::Place& place) {
  std::vector<std::string> paths;
  if (const std::optional<HugeMount> huge = FindHugeMount()) {
    paths.push_back(huge->folder + "/" + place.huge_name);
  }
  paths.push_back(place.folder + "/" + place.name);
  return paths;
}

// Maps the pages that exist already. A read maps 16 of them at a time (the kernel's default of
// fault_around_bytes), and other threads can map memory meanwhile, as DPDK's start does all the
// time. Populate would prevent that until it has mapped everything.
void MapExisting(std::span<const std::byte> memory) {
  for (size_t at = 0; at < memory.size(); at += kTableOffset) {
    static_cast<void>(*static_cast<const volatile std::byte*>(&memory[at]));
  }
}

// Maps every page for writing. The content does not change. `memory` is a part of `table_bytes`.
Status Populate(std::span<std::byte> memory, size_t table_bytes) {
  if (madvise(memory.data(), memory.size(), MADV_POPULATE_WRITE) == 0) return {};
  if (errno != EINVAL) {
    return ResourceExhausted("flow_table.records: cannot allocate " +
                             std::to_string(table_bytes >> 20) + " MiB: " + ErrorText());
  }
  // Linux before 5.14 has no MADV_POPULATE_WRITE.
  for (size_t at = 0; at < memory.size(); at += kTableOffset) {
    volatile std::byte* const byte = &memory[at];
    *byte = *byte;
  }
  return {};
}

}  // namespace

// The start of the first page. Written last: a process that dies before that leaves no table.
struct FlowMemory::Header {
  uint64_t magic = 0;
  uint32_t layout_version = 0;
  uint32_t reserved = 0;
  uint64_t epoch = 0;
  uint64_t table_bytes = 0;
};

// A locked file. The destructor closes it unless it was released.
class FlowMemory::File {
 public:
  static Result<File> Open(const std::string& path, bool create) {
    ASSIGN_OR_RETURN(UniqueFd opened,
                     create ? OpenOrCreateOwnFile(path, 0600) : OpenOwnFile(path, O_RDWR));
    File file(opened.Release());
    struct stat info = {};
    if (fstat(file.fd_, &info) != 0) return Unavailable("cannot stat " + path + ": " + ErrorText());
    file.size_ = static_cast<size_t>(info.st_size);
    // A killed process may hold the lock for a moment.
    for (int attempt = 0; flock(file.fd_, LOCK_EX | LOCK_NB) != 0; ++attempt) {
      if (attempt == kLockAttempts) return Unavailable(path + " is in use by another process");
      usleep(kLockPauseUs);
    }
    return file;
  }
  ~File() {
    if (fd_ >= 0) close(fd_);
  }
  File(File&& other) noexcept : fd_(std::exchange(other.fd_, -1)), size_(other.size_) {}
  File& operator=(File&&) = delete;
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  int fd() const { return fd_; }
  int Release() { return std::exchange(fd_, -1); }
  size_t size() const { return size_; }

  // Makes the file exactly `bytes` long: all zero, no page allocated.
  Status Clear(size_t bytes) {
    if (ftruncate(fd_, 0) != 0 || ftruncate(fd_, static_cast<off_t>(bytes)) != 0) {
      return Unavailable("cannot resize it to " + std::to_string(bytes) + " bytes: " + ErrorText());
    }
    size_ = bytes;
    return {};
  }

 private:
  explicit File(int fd) : fd_(fd) {}
  int fd_;
  size_t size_ = 0;
};

Result<FlowMemory> FlowMemory::Allocate(size_t bytes) {
  void* const memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    return ResourceExhausted("flow_table.records: cannot allocate " + std::to_string(bytes >> 20) +
                             " MiB: " + ErrorText());
  }
  // A million flows use a million cache lines. With 4 KiB pages, each would also miss the TLB.
  madvise(memory, bytes, MADV_HUGEPAGE);
  return FlowMemory({static_cast<std::byte*>(memory), bytes}, 0, bytes);
}

// Why a process cannot take over the table in a file; `text` is empty if it can.
struct FlowMemory::Defect {
  std::string text = {};
  bool is_new = false;     // no process has needed the table yet
  bool has_table = false;  // of any size
};

FlowMemory::Defect FlowMemory::DefectOf(int fd, size_t file_bytes, uint64_t epoch,
                                        size_t table_bytes) {
  Header header;
  const bool same_size = file_bytes == FileBytes(fd, table_bytes);
  if (pread(fd, &header, sizeof(header), 0) != sizeof(header)) {
    return {.text = same_size ? "cannot be read" : "had another size"};
  }
  if (header.magic != kMagic) {
    const bool is_new = header.magic == 0;
    if (!same_size) return {.text = "had another size", .is_new = is_new};
    return {.text = is_new ? "is new" : "is damaged: wrong magic number", .is_new = is_new};
  }
  if (header.layout_version != kLayoutVersion) {
    return {.text = "has layout version " + std::to_string(header.layout_version) + ", not " +
                    std::to_string(kLayoutVersion)};
  }
  const bool has_table = file_bytes > kTableOffset;
  if (header.epoch != epoch) {
    return {.text = "is older than the host's last boot", .has_table = has_table};
  }
  if (!same_size) return {.text = "had another size", .has_table = has_table};
  if (header.table_bytes != table_bytes) {
    return {.text = "contains a table of another size", .has_table = has_table};
  }
  return {.has_table = true};
}

// Maps the table in `file`, or an empty one of `bytes` unless `only_existing`.
Result<FlowMemory> FlowMemory::Map(File* file, const std::string& path, uint64_t epoch,
                                   size_t bytes, bool only_existing) {
  const size_t size = FileBytes(file->fd(), bytes);
  FlowMemory mapped({}, kTableOffset, bytes);
  mapped.epoch_ = epoch;
  mapped.path_ = path;
  if (file->size() == 0) {
    mapped.is_new_ = true;
    mapped.placement_reason_ = path + " is new";
  } else {
    const Defect defect = DefectOf(file->fd(), file->size(), epoch, bytes);
    mapped.is_new_ = defect.is_new;
    mapped.has_table_ = defect.text.empty();
    mapped.placement_reason_ = defect.text.empty() ? path : path + " " + defect.text;
  }
  if (only_existing && !mapped.has_table_) return FailedPrecondition(mapped.placement_reason_);
  if (!mapped.has_table_) {
    if (const Status cleared = file->Clear(size); !cleared.ok()) {
      unlink(path.c_str());
      return Unavailable(path + ": " + cleared.message());
    }
  }
  void* const memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file->fd(), 0);
  if (memory == MAP_FAILED) {
    const std::string why = ErrorText();
    if (!mapped.has_table_) unlink(path.c_str());
    return Unavailable("cannot map " + path + ": " + why);
  }
  madvise(memory, size, MADV_HUGEPAGE);
  mapped.mapping_ = {static_cast<std::byte*>(memory), size};
  mapped.fd_ = file->Release();
  return mapped;
}

Result<FlowMemory> FlowMemory::Open(const Place& place, size_t bytes) {
  const std::vector<std::string> paths = PathsOf(place);
  // First looks for an existing file in all places, then creates a new one in the best place.
  std::string reasons;
  for (const bool only_existing : {true, false}) {
    for (const std::string& path : paths) {
      Result<File> file = File::Open(path, !only_existing);
      Result<FlowMemory> mapped = file.ok() ? Map(&*file, path, place.epoch, bytes, only_existing)
                                            : Result<FlowMemory>(file.status());
      if (mapped.ok()) {
        if (!mapped->has_table_ && !reasons.empty())
          mapped->placement_reason_ += " (" + reasons + ")";
        return mapped;
      }
      // A file that does not exist yet needs no mention.
      if (only_existing && file.status().code() == ErrorCode::kNotFound) continue;
      reasons += (reasons.empty() ? "" : "; ") + mapped.status().message();
    }
  }
  ASSIGN_OR_RETURN(FlowMemory memory, Allocate(bytes));
  memory.placement_reason_ = "private memory, lost when the process ends: " + reasons;
  return memory;
}

FlowMemory::Glance FlowMemory::LookAt(const std::string& path, uint64_t epoch, size_t bytes) {
  Glance glance;
  const Result<UniqueFd> file = OpenOwnFile(path, O_RDONLY);
  if (!file.ok()) {
    if (file.status().code() == ErrorCode::kNotFound) return glance;
    glance.path_ = path;
    glance.defect_ = "cannot be used: " + file.status().message();
    return glance;
  }
  struct stat info = {};
  if (fstat(file->get(), &info) != 0 || info.st_size == 0) return glance;
  const auto file_bytes = static_cast<size_t>(info.st_size);
  const Defect defect = DefectOf(file->get(), file_bytes, epoch, bytes);
  if (defect.is_new) return glance;
  glance.path_ = path;
  glance.defect_ = defect.text;
  // Every page of a finished table was allocated, so reading it allocates none.
  if (!defect.has_table) return glance;
  void* const memory = mmap(nullptr, file_bytes, PROT_READ, MAP_SHARED, file->get(), 0);
  if (memory == MAP_FAILED) return glance;
  glance.mapping_ = {static_cast<const std::byte*>(memory), file_bytes};
  glance.offset_ = kTableOffset;
  return glance;
}

FlowMemory::Glance FlowMemory::Look(const Place& place, size_t bytes) {
  Glance first;
  for (const std::string& path : PathsOf(place)) {
    Glance glance = LookAt(path, place.epoch, bytes);
    if (glance.path().empty()) continue;
    if (glance.defect().empty()) return glance;
    if (first.path().empty()) first = std::move(glance);
  }
  return first;
}

Status FlowMemory::MakePresent(const std::function<void()>& progress) {
  if (is_present_) return {};
  const auto for_each_part = [&](auto&& work) -> Status {
    for (size_t at = 0; at < mapping_.size(); at += kPartBytes) {
      RETURN_IF_ERROR(work(at, std::min(kPartBytes, mapping_.size() - at)));
      if (progress) progress();
    }
    return {};
  };
  if (!path_.empty()) {
    // Reserves the space first: a page that cannot be allocated later would cause a SIGBUS.
    const Status reserved = for_each_part([&](size_t at, size_t bytes) -> Status {
      const int error = posix_fallocate(fd_, static_cast<off_t>(at), static_cast<off_t>(bytes));
      if (error == 0) return {};
      return ResourceExhausted("no space for " + std::to_string(mapping_.size() >> 20) +
                               " MiB: " + std::strerror(error) +
                               "; free as much in its folder, or reduce flow_table.records");
    });
    if (!reserved.ok()) RETURN_IF_ERROR(GoPrivate(reserved.message()));
  }
  RETURN_IF_ERROR(for_each_part([&](size_t at, size_t bytes) {
    // A tmpfs with huge=advise gives posix_fallocate small pages, whatever advice the mapping has.
    // This merges them into huge pages (Linux 6.1). It fails in a folder without huge pages.
    if (!path_.empty()) madvise(mapping_.data() + at, bytes, MADV_COLLAPSE);
    if (has_table_ && !path_.empty()) MapExisting(mapping_.subspan(at, bytes));
    return Populate(mapping_.subspan(at, bytes), mapping_.size());
  }));
  is_present_ = true;
  return {};
}

Status FlowMemory::GoPrivate(const std::string& why) {
  void* const memory = mmap(mapping_.data(), mapping_.size(), PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  if (memory == MAP_FAILED) {
    return ResourceExhausted("flow_table.records: " + path_ + ": " + why +
                             "; cannot allocate private memory either: " + ErrorText());
  }
  madvise(memory, mapping_.size(), MADV_HUGEPAGE);
  unlink(path_.c_str());
  placement_reason_ = "private memory, lost when the process ends: " + path_ + ": " + why;
  path_.clear();
  close(std::exchange(fd_, -1));
  return {};
}

void FlowMemory::MarkFormatted() {
  if (path_.empty()) return;
  const Header header{kMagic, kLayoutVersion, 0, epoch_, table_bytes_};
  std::memcpy(mapping_.data(), &header, sizeof(header));
}

FlowMemory::FlowMemory(FlowMemory&& other) noexcept
    : mapping_(std::exchange(other.mapping_, {})),
      offset_(other.offset_),
      table_bytes_(other.table_bytes_),
      has_table_(other.has_table_),
      is_new_(other.is_new_),
      is_present_(other.is_present_),
      epoch_(other.epoch_),
      fd_(std::exchange(other.fd_, -1)),
      path_(std::move(other.path_)),
      placement_reason_(std::move(other.placement_reason_)) {}

FlowMemory::Glance::~Glance() {
  if (mapping_.empty()) return;
  munmap(const_cast<std::byte*>(mapping_.data()), mapping_.size());
}

FlowMemory::Glance::Glance(Glance&& other) noexcept { *this = std::move(other); }

FlowMemory::Glance& FlowMemory::Glance::operator=(Glance&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(defect_, other.defect_);
  std::swap(mapping_, other.mapping_);
  std::swap(offset_, other.offset_);
  return *this;
}

FlowMemory::~FlowMemory() {
  if (!mapping_.empty()) munmap(mapping_.data(), mapping_.size());
  if (fd_ >= 0) close(fd_);
}

}  // namespace fairlead
