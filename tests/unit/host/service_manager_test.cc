#include "lib/host/service_manager.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

namespace fairlead {
namespace {

using std::chrono::microseconds;
using ::testing::ElementsAre;

// A service manager's socket. `name`: "@NAME" for an abstract socket, else a path.
class Listener {
 public:
  explicit Listener(const std::string& name) : socket_(socket(AF_UNIX, SOCK_DGRAM, 0)) {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    name.copy(address.sun_path, sizeof(address.sun_path));
    if (name[0] == '@') address.sun_path[0] = '\0';
    const auto length = offsetof(sockaddr_un, sun_path) + name.size();
    EXPECT_EQ(
        bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), static_cast<socklen_t>(length)),
        0);
  }
  // All messages that have arrived.
  std::vector<std::string> Messages() {
    std::vector<std::string> messages;
    for (;;) {
      char bytes[512];
      const ssize_t count = recv(socket_.get(), bytes, sizeof(bytes), MSG_DONTWAIT);
      if (count < 0) return messages;
      messages.emplace_back(bytes, static_cast<size_t>(count));
    }
  }

 private:
  UniqueFd socket_;
};

class ServiceManagerTest : public ::testing::Test {
 protected:
  ServiceManagerTest() { std::filesystem::create_directory(folder_); }
  ~ServiceManagerTest() override {
    for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) unsetenv(name);
    std::filesystem::remove_all(folder_);
  }
  static void Set(const char* name, const std::string& value) { setenv(name, value.c_str(), 1); }

  const std::string id_ = "fairlead-notify-" + std::to_string(getpid());
  const std::string folder_ = std::filesystem::temp_directory_path() / id_;
  const std::string path_ = folder_ + "/notify";
};

TEST_F(ServiceManagerTest, SendsMessagesToAPathAndToAnAbstractSocket) {
  for (const std::string& name : {path_, "@" + id_}) {
    Listener listener(name);
    Set("NOTIFY_SOCKET", name);
    ServiceManager manager = ServiceManager::FromEnvironment();
    manager.SetStatus("opening port wan");
    manager.ExtendStart(std::chrono::seconds(30));
    manager.Ready();
    manager.FeedWatchdog();
    manager.Stopping();
    EXPECT_THAT(listener.Messages(),
                ElementsAre("STATUS=opening port wan", "EXTEND_TIMEOUT_USEC=30000000", "READY=1",
                            "WATCHDOG=1", "STOPPING=1"))
        << name;
  }
}

TEST_F(ServiceManagerTest, SendsAStatusOnceAndAsOneLine) {
  Listener listener(path_);
  Set("NOTIFY_SOCKET", path_);
  ServiceManager manager = ServiceManager::FromEnvironment();
  manager.SetStatus("a\nREADY=1");
  manager.SetStatus("a\nREADY=1");
  manager.SetStatus("b");
  EXPECT_THAT(listener.Messages(), ElementsAre("STATUS=a READY=1", "STATUS=b"));
}

TEST_F(ServiceManagerTest, LeavesNothingInTheEnvironmentOfChildren) {
  Listener listener(path_);
  Set("NOTIFY_SOCKET", path_);
  Set("WATCHDOG_USEC", "5000000");
  Set("WATCHDOG_PID", std::to_string(getpid()));
  const ServiceManager manager = ServiceManager::FromEnvironment();
  EXPECT_EQ(std::getenv("NOTIFY_SOCKET"), nullptr);
  EXPECT_EQ(std::getenv("WATCHDOG_USEC"), nullptr);
  EXPECT_EQ(std::getenv("WATCHDOG_PID"), nullptr);
  EXPECT_EQ(manager.watchdog_timeout(), microseconds(5'000'000));
}

TEST_F(ServiceManagerTest, HasNoWatchdogWithoutASocketOrForAnotherProcess) {
  Set("WATCHDOG_USEC", "5000000");
  EXPECT_FALSE(ServiceManager::FromEnvironment().watchdog_timeout());
  for (const auto& [time, pid] : {std::pair("5000000", "1"), {"0", ""}, {"5s", ""}, {"-1", ""}}) {
    Listener listener("@" + id_);
    Set("NOTIFY_SOCKET", "@" + id_);
    Set("WATCHDOG_USEC", time);
    Set("WATCHDOG_PID", pid);
    EXPECT_FALSE(ServiceManager::FromEnvironment().watchdog_timeout()) << time << " of " << pid;
  }
}

TEST_F(ServiceManagerTest, SendsNothingWithoutAUsableSocket) {
  for (const std::string& name : {std::string(), std::string("relative"), std::string("@"),
                                  std::string(200, '/'), std::string("/nowhere/notify")}) {
    Set("NOTIFY_SOCKET", name);
    ServiceManager manager = ServiceManager::FromEnvironment();
    manager.Ready();
    manager.SetStatus("a");
    manager.FeedWatchdog();
  }
}

TEST_F(ServiceManagerTest, DoesNotBlockWhileTheQueueIsFull) {
  Listener listener(path_);
  Set("NOTIFY_SOCKET", path_);
  ServiceManager manager = ServiceManager::FromEnvironment();
  for (int i = 0; i < 10'000; ++i) manager.FeedWatchdog();
  EXPECT_FALSE(listener.Messages().empty());
  manager.FeedWatchdog();
  EXPECT_THAT(listener.Messages(), ElementsAre("WATCHDOG=1"));
}

TEST_F(ServiceManagerTest, ReadyWaitsForSpaceInTheQueue) {
  Listener listener(path_);
  Set("NOTIFY_SOCKET", path_);
  ServiceManager manager = ServiceManager::FromEnvironment();
  for (int i = 0; i < 10'000; ++i) manager.FeedWatchdog();
  std::thread sends([&] { manager.Ready(); });
  std::string last;
  while (last != "READY=1") {
    for (const std::string& each : listener.Messages()) last = each;
  }
  sends.join();
}

TEST_F(ServiceManagerTest, NeedsNoFreeFileDescriptor) {
  Listener listener(path_);
  Set("NOTIFY_SOCKET", path_);
  ServiceManager manager = ServiceManager::FromEnvironment();
  rlimit before = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none = {0, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  manager.FeedWatchdog();
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_THAT(listener.Messages(), ElementsAre("WATCHDOG=1"));
}

}  // namespace
}  // namespace fairlead
