// Snapshots, folders and grace periods for the tests of the management thread.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <sys/mman.h>

#include "dataplane/worker/grace.h"
#include "lib/snapshot/builder.h"
#include "tests/unit/table/tables.h"

namespace fairlead::testing {

// Grace periods that end when the test says so.
class FakeGrace final : public GracePeriods {
 public:
  uint64_t Begin() override { return ++begun; }
  bool IsOver(uint64_t period) override { return period <= over_up_to; }
  uint64_t begun = 0;
  uint64_t over_up_to = ~uint64_t{0};  // the default: each ends at once
};

// A folder that the destructor removes.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = std::filesystem::temp_directory_path() / "fairlead-test-XXXXXX";
    path_ = mkdtemp(pattern.data());
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::string operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

// A memfd with these bytes. The destructor closes it.
class Memfd {
 public:
  explicit Memfd(std::span<const std::byte> bytes) : fd_(memfd_create("test", MFD_CLOEXEC)) {
    EXPECT_EQ(write(fd_, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }
  ~Memfd() { close(fd_); }
  Memfd(const Memfd&) = delete;
  Memfd& operator=(const Memfd&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

inline uint64_t PagesOf(std::span<const std::byte> memory) {
  const auto page = static_cast<size_t>(getpagesize());
  return (memory.size() + page - 1) / page;
}

// Pages that this process can write to without a fault (proc_pid_pagemap(5)). REQUIRES `memory` to
// begin with a page.
inline uint64_t PresentPages(std::span<const std::byte> memory) {
  const auto page = static_cast<size_t>(getpagesize());
  std::vector<uint64_t> entries(PagesOf(memory));
  const int map = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  const auto length = static_cast<ssize_t>(entries.size() * sizeof(uint64_t));
  EXPECT_EQ(pread(map, entries.data(), static_cast<size_t>(length),
                  static_cast<off_t>(reinterpret_cast<uintptr_t>(memory.data()) / page * 8)),
            length);
  close(map);
  uint64_t present = 0;
  for (const uint64_t entry : entries) present += entry >> 63;
  return present;
}

inline EgressPort Eth0() {
  return {"eth0", {{2, 0, 0, 0, 0, 1}}, 1500, {IpAddress::Parse("10.0.0.254").value()}};
}

// One service "web" over backends 10.0.0.1 .. 10.0.0.N whose ids are 1 .. N.
inline SnapshotInput WebInput(uint64_t generation, uint32_t backend_count) {
  SnapshotInput input{.generation = generation, .hash_seed = 7, .services = {}};
  std::vector<SnapshotBackend> backends;
  for (uint32_t id = 1; id <= backend_count; ++id) {
    backends.push_back(MakeBackend(id, "10.0.0." + std::to_string(id)));
    backends.back().next_hop = SnapshotNextHop{{{2, 0, 0, 0, 1, static_cast<uint8_t>(id)}}, 0, ""};
  }
  input.services = {MakeService(1, "web", "203.0.113.10:80/tcp", std::move(backends))};
  return input;
}

inline SnapshotImage WebImage(uint64_t generation, uint32_t backend_count) {
  return BuildSnapshot(WebInput(generation, backend_count)).value();
}

// An image from which no tables can be built: replies through nat would belong to two frontends.
inline SnapshotImage ImpossibleImage(uint64_t generation, const std::string& name = "web") {
  SnapshotInput input = WebInput(generation, 1);
  SnapshotService& service = input.services[0];
  service.name = name;
  service.mode = ForwardingMode::kNat;
  service.backends[0].endpoint.port = 8080;
  service.frontends.push_back(service.frontends[0]);
  service.frontends[1].port = 443;
  return BuildSnapshot(input).value();
}

}  // namespace fairlead::testing
