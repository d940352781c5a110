#include "dataplane/eal/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fairlead {
namespace {

Options OptionsOf(std::initializer_list<const char*> devices) {
  Options options;
  for (const char* device : devices) {
    PortConfig port;
    port.name = device;
    port.device = *ParseDevice(device);
    options.config.ports.push_back(std::move(port));
  }
  return options;
}

std::string Refusal(const HostFacts& host, uint32_t memory_mib) {
  return PlanEal(OptionsOf({"null"}), host, memory_mib).status().message();
}

TEST(PlanEal, NamesTheCommandThatReservesTheHugepages) {
  EXPECT_EQ(Refusal({.cpus = {0, 1}}, 201),
            "this host has no hugepages, and these ports need 201 MiB of them; run: echo 101 > "
            "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages; or use ordinary memory: -- "
            "--no-huge");
  EXPECT_THAT(Refusal({.cpus = {0, 1}, .hugepages = 512}, 200),
              ::testing::AllOf(::testing::HasSubstr("all 512 hugepages of this host are in use"),
                               ::testing::HasSubstr("echo 612 >")));
}

TEST(PlanEal, NeedsNoHugepagesIfThereAreSomeOrTheOperatorWantsNone) {
  EXPECT_TRUE(
      PlanEal(OptionsOf({"null"}), {.cpus = {0, 1}, .hugepages = 9, .free_hugepages = 1}, 200)
          .ok());
  Options without = OptionsOf({"null"});
  without.eal_arguments = {"--no-huge"};
  EXPECT_TRUE(PlanEal(without, {.cpus = {0, 1}}, 200).ok());
}

TEST(PlanEal, AllowsThePciDevicesOfThePorts) {
  const Result<EalPlan> plan =
      PlanEal(OptionsOf({"3B:00.0", "null"}), {.cpus = {0, 1}, .free_hugepages = 1}, 200);
  ASSERT_TRUE(plan.ok()) << plan.status().message();
  EXPECT_THAT(plan->arguments, ::testing::Contains("--allow=0000:3b:00.0"));
  EXPECT_THAT(plan->arguments, ::testing::Not(::testing::Contains("--no-pci")));
}

}  // namespace
}  // namespace fairlead
