#include "dataplane/eal/bootstrap.h"

#include <fcntl.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <sched.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <utility>

#include <sys/stat.h>
#include <sys/statvfs.h>

#include "dataplane/eal/log.h"

namespace fairlead {
namespace {

// Of all sizes. `which`: "nr_hugepages" or "free_hugepages".
uint64_t CountHugepages(const char* which) {
  uint64_t count = 0;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/sys/kernel/mm/hugepages", error)) {
    uint64_t pages = 0;
    std::ifstream(entry.path() / which) >> pages;
    count += pages;
  }
  return count;
}

// Redirects stdout to /dev/null while EAL starts. EAL prints its usage to stdout if it rejects an
// argument, but our stdout must contain only one JSON line.
class SilencedStdout {
 public:
  SilencedStdout() : saved_(dup(STDOUT_FILENO)) {
    const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (saved_ < 0 || null < 0) return;
    dup2(null, STDOUT_FILENO);
    close(null);
  }
  ~SilencedStdout() {
    if (saved_ < 0) return;
    std::fflush(stdout);
    dup2(saved_, STDOUT_FILENO);
    close(saved_);
  }
  SilencedStdout(const SilencedStdout&) = delete;
  SilencedStdout& operator=(const SilencedStdout&) = delete;

 private:
  int saved_;
};

std::string LastLine(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  const size_t start = text.rfind('\n');
  return start == std::string::npos ? text : text.substr(start + 1);
}

// What EAL's files take (measured): some 0.3 MiB, and without hugepages 48 bytes for each page of
// 4 KiB.
constexpr uint64_t kRuntimeBytes = uint64_t{1} << 20;
constexpr uint64_t kRuntimeBytesPerMebibyte = 256 * 48;

// The folder in which EAL makes its runtime folder, dpdk/PREFIX (eal_create_runtime_dir).
std::string RuntimeParent() {
  const auto variable = [](const char* name) {
    const char* const value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): at the start
    return std::string(value == nullptr ? "" : value);
  };
  if (const std::string folder = variable("RUNTIME_DIRECTORY"); !folder.empty()) return folder;
  if (getuid() == 0) return "/var/run";
  const std::string folder = variable("XDG_RUNTIME_DIR");
  return folder.empty() ? "/tmp" : folder;
}

// The files that an earlier process with this prefix left. EAL uses them again.
uint64_t BytesInUse(const std::string& folder) {
  uint64_t bytes = 0;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    struct stat info = {};
    if (lstat(entry.path().c_str(), &info) == 0)
      bytes += static_cast<uint64_t>(info.st_blocks) * 512;
  }
  return bytes;
}

// EAL maps files in its runtime folder. A page for which the folder has no space would end the
// process by SIGBUS, without a word.
Status CheckRuntimeSpace(const EalPlan& plan) {
  const std::string folder = RuntimeParent();
  struct statvfs info = {};
  if (statvfs(folder.c_str(), &info) != 0 || info.f_blocks == 0) return {};  // 0: no limit
  const uint64_t free_bytes = uint64_t{info.f_bavail} * info.f_frsize;
  const uint64_t needed_bytes = kRuntimeBytes + plan.no_huge_mebibytes * kRuntimeBytesPerMebibyte;
  const uint64_t available = free_bytes + BytesInUse(folder + "/dpdk/" + plan.file_prefix);
  if (available >= needed_bytes) return {};
  return FailedPrecondition("DPDK needs " + std::to_string(needed_bytes >> 10) + " KiB in " +
                            folder + ", which has only " + std::to_string(free_bytes >> 10) +
                            " KiB free; free space in it");
}

Status ExplainFailure(int error) {
  const std::string log = TakeKeptEalLog();
  if (log.find("Is another primary process running?") != std::string::npos) {
    return FailedPrecondition(
        "another fairlead-dataplane runs with the same link path or --file-prefix; stop it or "
        "choose another --link");
  }
  if (log.find("hugepage") != std::string::npos || log.find("Hugepage") != std::string::npos) {
    return FailedPrecondition("cannot use hugepages (" + LastLine(log) +
                              "); mount hugetlbfs, or run without hugepages: -- --no-huge");
  }
  std::string message = "cannot start DPDK";
  if (error == EACCES || error == EPERM) message += ": permission denied";
  const std::string last = LastLine(log);
  if (error == EINVAL) {
    return InvalidArgument(message + ": it rejects the EAL arguments after --" +
                           (last.empty() ? "" : " (" + last + ")"));
  }
  if (!last.empty()) return FailedPrecondition(message + " (" + last + ")");
  return FailedPrecondition(error == 0 ? message
                                       : message + " (" + std::string(std::strerror(error)) + ")");
}

}  // namespace

HostFacts ReadHostFacts() {
  HostFacts host;
  host.pid = getpid();
  host.hugepages = CountHugepages("nr_hugepages");
  host.free_hugepages = CountHugepages("free_hugepages");
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0) {
    for (uint32_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(cpu, &set)) host.cpus.push_back(cpu);
    }
  }
  return host;
}

Result<Eal> Eal::Start(const EalPlan& plan) {
  RETURN_IF_ERROR(CheckRuntimeSpace(plan));
  if (!CatchEalLog()) return Internal("cannot redirect DPDK's log");
  // EAL keeps pointers into argv and reorders it, so both live as long as the process.
  static std::vector<std::string> strings;
  static std::vector<char*> argv;
  strings = plan.arguments;
  for (std::string& argument : strings) argv.push_back(argument.data());
  argv.push_back(nullptr);
  int result;
  {
    const SilencedStdout silence;
    result = rte_eal_init(static_cast<int>(strings.size()), argv.data());
  }
  if (result < 0) return ExplainFailure(rte_errno);
  return Eal();
}

Eal::Eal(Eal&& other) noexcept : active_(std::exchange(other.active_, false)) {}

Eal::~Eal() {
  if (!active_) return;
  const std::string runtime_dir = rte_eal_get_runtime_dir();
  rte_eal_cleanup();
  // EAL does not remove its sockets and files. The next process cannot use them.
  std::error_code ignored;
  std::filesystem::remove_all(runtime_dir, ignored);
}

std::string TakeFirstEalError() {
  const std::string log = TakeKeptEalLog();
  std::string line = log.substr(0, log.find('\n'));
  // Removes the function name that drivers print first: "open_single_rx_pcap(): Couldn't open ...".
  const size_t name_end = line.find("(): ");
  if (name_end != std::string::npos && line.find(' ') > name_end) line.erase(0, name_end + 4);
  return line;
}

}  // namespace fairlead
