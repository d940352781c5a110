#include "controlplane/core/watchdog.h"

#include <future>
#include <thread>

#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include "tests/unit/controlplane/support.h"

namespace fairlead {
namespace {

using std::chrono::milliseconds;

class ControlWatchdogTest : public testing::Test {
 protected:
  ControlWatchdogTest() {
    Result<std::unique_ptr<Store>> store = Store::Open(directory_.File("store.db"));
    store_ = std::make_unique<StoreThread>(context_.get_executor(), *std::move(store));
  }

  // Runs the loop until the number of feeds is `feeds`, or `limit` has passed.
  void RunUntil(int feeds, std::chrono::milliseconds limit = std::chrono::seconds(60)) {
    const SteadyTime end = SteadyNow() + limit;
    while (feeds_ < feeds && SteadyNow() < end) context_.run_one_until(end);
  }

  TempDir directory_;
  boost::asio::io_context context_;
  std::unique_ptr<StoreThread> store_;
  int feeds_ = 0;
};

TEST_F(ControlWatchdogTest, FeedsWhileTheStoreAnswers) {
  Watchdog watchdog(context_.get_executor(), store_.get(), [this] { ++feeds_; },
                    {.period = milliseconds(1), .longest_store_wait = std::chrono::seconds(60)});
  watchdog.Start();
  RunUntil(20);
  EXPECT_EQ(feeds_, 20);
  watchdog.Stop();
  context_.run();  // both loops end
}

TEST_F(ControlWatchdogTest, CeasesWhileTheStoresThreadStandsStillAndGoesOnAfterwards) {
  std::promise<void> release;
  std::shared_future<void> released(release.get_future());
  // By reference: GCC 12 destroys closures in a co_await expression twice (PR 99576).
  const auto hold = [&released](Store*) {
    released.wait();
    return Status();
  };
  Spawn(context_.get_executor(), "holds",
        [](auto* store, auto work) -> boost::asio::awaitable<void> {
          (void)co_await store->Run(work);
        }(store_.get(), hold));
  Watchdog watchdog(context_.get_executor(), store_.get(), [this] { ++feeds_; },
                    {.period = milliseconds(5), .longest_store_wait = milliseconds(50)});
  watchdog.Start();
  RunUntil(1);
  EXPECT_EQ(feeds_, 1);
  RunUntil(1'000'000, milliseconds(500));
  // At most one feed for each period of the 50 ms, however slow the machine is.
  EXPECT_LE(feeds_, 12);
  const int before = feeds_;
  release.set_value();
  RunUntil(before + 3);
  EXPECT_EQ(feeds_, before + 3);
  watchdog.Stop();
  context_.run();
}

}  // namespace
}  // namespace fairlead
