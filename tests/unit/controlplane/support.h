// Shared by the tests of the control plane: a temporary directory, a fake clock, and parsers of
// specs.
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include <gtest/gtest.h>

#include "controlplane/common/time.h"
#include "lib/intent/json.h"

namespace fairlead {

class TempDir {
 public:
  TempDir() {
    std::string pattern = (std::filesystem::temp_directory_path() / "fairlead-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  std::string File(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// Changes only when a test changes it.
class FakeClock : public Clock {
 public:
  SteadyTime Steady() const override { return steady_; }
  int64_t WallMs() const override { return wall_ms_; }
  void Advance(std::chrono::milliseconds by) {
    steady_ += by;
    wall_ms_ += by.count();
  }
  // Changes the wall clock only, as an operator who sets the host's clock does.
  void SetWall(std::chrono::milliseconds by) { wall_ms_ += by.count(); }

 private:
  SteadyTime steady_{std::chrono::hours(100)};
  int64_t wall_ms_ = 1'700'000'000'000;
};

inline ServiceSpec ParseServiceSpec(const std::string& json) {
  Result<nlohmann::json> value = ParseJson(json);
  EXPECT_TRUE(value.ok()) << value.status().message();
  Result<ServiceSpec> service = ServiceFromJson(*value);
  EXPECT_TRUE(service.ok()) << service.status().message();
  return *std::move(service);
}

inline BackendSpec ParseBackendSpec(const std::string& json) {
  Result<BackendSpec> backend = BackendFromJson(*ParseJson(json));
  EXPECT_TRUE(backend.ok()) << backend.status().message();
  return *std::move(backend);
}

inline Endpoint ParseEndpoint(const std::string& text) { return *Endpoint::Parse(text); }

}  // namespace fairlead
