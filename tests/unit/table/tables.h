// Builds forwarding tables from a snapshot input, for tests.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "lib/snapshot/builder.h"
#include "lib/snapshot/view.h"
#include "lib/table/forwarding_tables.h"

namespace fairlead::testing {

inline SnapshotBackend MakeBackend(uint32_t id, const std::string& endpoint, uint16_t weight = 1,
                                   BackendState state = BackendState::kActive) {
  SnapshotBackend backend;
  backend.id = id;
  backend.endpoint = Endpoint::Parse(endpoint).value();
  backend.weight = weight;
  backend.state = state;
  return backend;
}

inline SnapshotService MakeService(uint32_t id, const std::string& name,
                                   const std::string& frontend,
                                   std::vector<SnapshotBackend> backends) {
  SnapshotService service;
  service.id = id;
  service.name = name;
  service.frontends = {Frontend::Parse(frontend).value()};
  service.slot_count = 251;
  service.backends = std::move(backends);
  return service;
}

// Builds tables of one generation after the other, as the management thread does.
class TablesFixture : public ::testing::Test {
 protected:
  Result<std::unique_ptr<ForwardingTables>> Build(const SnapshotInput& input) {
    const SnapshotImage image = BuildSnapshot(input).value();
    return ForwardingTables::Build(SnapshotView(image.bytes()), {tables_.get(), now_tick_}, ports_,
                                   &backend_indices_, &service_indices_, &stats_);
  }
  // The same, and replaces the previous generation.
  void Publish(const SnapshotInput& input) { tables_ = Build(input).value(); }
  // The same by the difference to the previous generation, if this function has published that too.
  void PublishByDifference(const SnapshotInput& input) {
    SnapshotImage image = BuildSnapshot(input).value();
    SnapshotDifference difference;
    const bool follows = tables_ != nullptr && published_ == tables_.get();
    if (follows)
      difference = CompareSnapshots(SnapshotView(image_.bytes()), SnapshotView(image.bytes()));
    const ForwardingTables::Past past{
        tables_.get(), now_tick_, {}, follows ? &difference : nullptr};
    tables_ = ForwardingTables::Build(SnapshotView(image.bytes()), past, ports_, &backend_indices_,
                                      &service_indices_, &stats_)
                  .value();
    image_ = std::move(image);
    published_ = tables_.get();
  }

  const ServiceEntry& Service(size_t index = 0) const { return tables_->services()[index]; }
  const BackendEntry& Owner(const ServiceEntry& service, uint32_t slot) const {
    return tables_->backends()[service.first_backend + service.slot_table->Load(slot).current];
  }

  static IpAddress Address(const std::string& text) { return IpAddress::Parse(text).value(); }

  std::vector<EgressPort> ports_ = {
      {"wan",
       MacAddress::Parse("02:00:00:00:00:a0").value(),
       1500,
       {Address("192.0.2.1"), Address("2001:db8:f::1")}},
      {"lan",
       MacAddress::Parse("02:00:00:00:00:a1").value(),
       1400,
       {Address("10.0.0.254"), Address("2001:db8:a::fe")}},
  };
  CounterIndices backend_indices_{1000};
  CounterIndices service_indices_{1000};
  std::unique_ptr<ForwardingTables> tables_;
  const ForwardingTables* published_ = nullptr;  // by PublishByDifference()
  SnapshotImage image_;                          // of `published_`
  ForwardingTables::BuildStats stats_;
  uint32_t now_tick_ = 0;
};

}  // namespace fairlead::testing
