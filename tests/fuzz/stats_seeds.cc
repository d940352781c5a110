// Seed corpus of stats_fuzzer.
#include "lib/link/stats.h"
#include "tests/fuzz/seed_file.h"

int main(int argc, char** argv) {
  using namespace fairlead;
  const std::string folder = testing::SeedFolder(argc, argv);
  DataplaneStats stats;
  testing::WriteSeed(folder, "empty", EncodeStats(stats));
  stats.generation = 3;
  stats.workers = {{1500}, {250}};
  stats.totals.rx_packets = 1000;
  stats.services = {{1, 2, 3, 4}, {5, 6, 7, 8}};
  stats.backends = {{1, 2, 3, 4, 5}};
  testing::WriteSeed(folder, "two_services", EncodeStats(stats));
  stats.ports = {{"wan", "eth0", SteeringStats{true, 1, 2, 3}, std::nullopt,
                  LinkStats{true, 10'000, 1, 2}, NicStats{1, 2, 3, 4}},
                 {"lan", "lan0", std::nullopt, KernelPathStats{1, 2, 3, 4, 5}}};
  testing::WriteSeed(folder, "two_ports", EncodeStats(stats));
  testing::WriteSeed(folder, "version_3", EncodeStats(stats, {}, kFirstStatsVersion));
  return 0;
}
