// Seed corpus of snapshot_fuzzer.
#include "tests/fuzz/seed_file.h"
#include "tests/unit/snapshot/sample.h"

int main(int argc, char** argv) {
  using namespace fairlead;
  const std::string folder = testing::SeedFolder(argc, argv);
  SnapshotInput input = testing::SampleInput();
  testing::WriteSeed(folder, "sample", BuildSnapshot(input).value().bytes());
  testing::WriteSeed(folder, "empty", BuildSnapshot({}).value().bytes());
  input.services.resize(1);
  input.services[0].mode = ForwardingMode::kGue;
  input.services[0].gue_port = 6080;
  input.services[0].flags = kServiceGueChecksum | kServiceDropTooBig;
  input.client_next_hop_v4 = input.services[0].backends[0].next_hop;
  input.client_next_hop_v6 = input.services[0].backends[1].next_hop;
  testing::WriteSeed(folder, "gue", BuildSnapshot(input).value().bytes());
  input.services[0].backends.clear();
  testing::WriteSeed(folder, "no_backend", BuildSnapshot(input).value().bytes());
  return 0;
}
