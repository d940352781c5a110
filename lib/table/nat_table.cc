#include "lib/table/nat_table.h"

#include <bit>
#include <cstring>
#include <string>
#include <utility>

namespace fairlead {
namespace {

std::string NameOf(const BackendRecord& backend, uint16_t port, uint8_t protocol) {
  return Endpoint{AddressOf(backend), port}.ToString() + "/" +
         std::string(ProtocolName(static_cast<Protocol>(protocol)));
}

std::string TextOf(const FrontendRecord& record) {
  return Frontend{AddressOf(record), record.port, static_cast<Protocol>(record.protocol)}
      .ToString();
}

}  // namespace

class NatTable::Builder {
 public:
  Builder(const SnapshotView& snapshot, NatFamilies families)
      : snapshot_(snapshot), families_(families) {}

  Result<NatTable> Build() {
    ReserveRoom();
    const auto frontends = snapshot_.frontends();
    for (uint32_t f = 0; f < frontends.size(); ++f) {
      const ServiceRecord& service = snapshot_.services()[frontends[f].service_index];
      if (!IsNat(service) || !families_[frontends[f].family == 4 ? 0 : 1]) continue;
      for (uint32_t local = 0; local < service.backend_count; ++local) {
        RETURN_IF_ERROR(AddPair(f, service.first_backend + local));
      }
    }
    RETURN_IF_ERROR(CheckAnyPort());
    return std::move(table_);
  }

 private:
  static bool IsNat(const ServiceRecord& service) {
    return service.mode == static_cast<uint8_t>(ForwardingMode::kNat);
  }
  static Words WordsOf(const BackendRecord& backend) {
    Words words;
    std::memcpy(&words, backend.address, sizeof(words));
    return words;
  }
  static uint64_t PortMeta(const BackendRecord& backend, uint8_t protocol, uint16_t port) {
    return MetaOf(static_cast<Family>(backend.family), protocol, Be16::FromHost(port).raw());
  }
  Entry& Place(const Words& words, uint64_t meta) {
    return const_cast<Entry&>(table_.Probe(words, meta));
  }

  void ReserveRoom() {
    uint64_t pairs = 0;
    for (const FrontendRecord& frontend : snapshot_.frontends()) {
      const ServiceRecord& service = snapshot_.services()[frontend.service_index];
      if (IsNat(service)) pairs += service.backend_count;
    }
    // A pair's own entry and at most one for its backend's address; and free ones, where probes end.
    table_.entries_.resize(std::bit_ceil(pairs * 4 + 2));
    table_.mask_ = table_.entries_.size() - 1;
    table_.rows_.reserve(pairs);
    frontend_of_.reserve(pairs);
  }

  Status AddPair(uint32_t frontend_index, uint32_t backend_index) {
    const FrontendRecord& frontend = snapshot_.frontends()[frontend_index];
    const BackendRecord& backend = snapshot_.backends()[backend_index];
    const std::string_view service =
        snapshot_.name_of(snapshot_.services()[frontend.service_index]);
    const auto refuse = [&](const std::string& why) {
      return InvalidArgument("service " + std::string(service) + ": backend " +
                             AddressOf(backend).ToString() + " of frontend " + TextOf(frontend) +
                             ": " + why);
    };
    if (frontend.family != backend.family) return refuse("nat does not translate between families");
    if (frontend.port == 0 && backend.port != 0) {
      return refuse("an any-port frontend needs backends without a port");
    }
    const uint16_t port = backend.port != 0 ? backend.port : frontend.port;
    Entry& entry = Place(WordsOf(backend), PortMeta(backend, frontend.protocol, port));
    if (entry.meta != 0) {
      return refuse("replies from " + NameOf(backend, port, frontend.protocol) +
                    " would belong to frontend " +
                    TextOf(snapshot_.frontends()[frontend_of_[entry.row]]) + " as well");
    }
    const auto row = static_cast<uint32_t>(table_.rows_.size());
    entry = {{WordsOf(backend).a0, WordsOf(backend).a1},
             PortMeta(backend, frontend.protocol, port),
             row,
             0};
    table_.rows_.push_back({NatEndpoint::Make(AddressOf(frontend), frontend.port),
                            frontend.service_index, backend_index});
    frontend_of_.push_back(frontend_index);
    table_.any_port_ |= port == 0;
    const uint64_t address = AddressMeta(static_cast<Family>(backend.family));
    Entry& alone = Place(WordsOf(backend), address);
    alone = {{WordsOf(backend).a0, WordsOf(backend).a1}, address, row, 0};
    return {};
  }

  // An exact name that an any-port one covers must lead to where the latter would.
  Status CheckAnyPort() const {
    if (!table_.any_port_) return {};
    for (uint32_t row = 0; row < table_.rows_.size(); ++row) {
      const FrontendRecord& frontend = snapshot_.frontends()[frontend_of_[row]];
      const BackendRecord& backend = snapshot_.backends()[table_.rows_[row].backend_index];
      const uint16_t port = backend.port != 0 ? backend.port : frontend.port;
      const Entry& any = table_.Probe(WordsOf(backend), PortMeta(backend, frontend.protocol, 0));
      if (port == 0 || any.meta == 0) continue;
      const FrontendRecord& other = snapshot_.frontends()[frontend_of_[any.row]];
      if (AddressOf(other) == AddressOf(frontend) && frontend.port == port) continue;
      return InvalidArgument("nat: replies from " + NameOf(backend, port, frontend.protocol) +
                             " would belong to frontend " + TextOf(frontend) + " as well as to " +
                             TextOf(other));
    }
    return {};
  }

  const SnapshotView& snapshot_;
  const NatFamilies families_;
  NatTable table_;
  std::vector<uint32_t> frontend_of_;  // by row
};

Result<NatTable> NatTable::Build(const SnapshotView& snapshot, NatFamilies families) {
  return Builder(snapshot, families).Build();
}

}  // namespace fairlead
