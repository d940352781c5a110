#include "lib/table/nat_table.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <map>
#include <string>
#include <utility>

#include "lib/net/port_claims.h"

namespace fairlead {
namespace {

std::string NameOf(const BackendRecord& backend, uint16_t port, uint8_t protocol) {
  return Endpoint{AddressOf(backend), port}.ToString() + "/" +
         std::string(ProtocolName(static_cast<Protocol>(protocol)));
}

std::string TextOf(const FrontendRecord& record) { return FrontendOf(record).ToString(); }

bool IsWide(const FrontendRecord& record) { return record.port == 0 || record.last_port != 0; }

}  // namespace

class NatTable::Builder {
 public:
  Builder(const SnapshotView& snapshot, NatFamilies families)
      : snapshot_(snapshot), families_(families) {}

  Result<NatTable> Build() {
    ReserveEntries();
    const auto frontends = snapshot_.frontends();
    for (uint32_t f = 0; f < frontends.size(); ++f) {
      const ServiceRecord& service = snapshot_.services()[frontends[f].service_index];
      if (!IsTranslated(service) || !families_[frontends[f].family == 4 ? 0 : 1]) continue;
      for (uint32_t local = 0; local < service.backend_count; ++local) {
        RETURN_IF_ERROR(AddPair(f, service.first_backend + local));
      }
    }
    RETURN_IF_ERROR(CheckWide());
    AddRanges();
    return std::move(table_);
  }

 private:
  static bool IsTranslated(const ServiceRecord& service) {
    return ModeOf(service).translates_replies;
  }
  static Words WordsOf(const BackendRecord& backend) {
    Words words;
    std::memcpy(&words, backend.address, sizeof(words));
    return words;
  }
  static uint64_t PortMeta(const BackendRecord& backend, uint8_t protocol, uint16_t port) {
    return MetaOf(static_cast<Family>(backend.family), protocol, Be16::FromHost(port).raw());
  }
  // The entry of this address, protocol and port; made if it does not exist.
  Entry* Claim(const Words& words, uint64_t meta) {
    auto& entry = const_cast<Entry&>(table_.Probe(words, meta));
    if (entry.meta == 0) entry = {{words.a0, words.a1}, meta};
    return &entry;
  }

  void ReserveEntries() {
    uint64_t pairs = 0;
    for (const FrontendRecord& frontend : snapshot_.frontends()) {
      const ServiceRecord& service = snapshot_.services()[frontend.service_index];
      if (IsTranslated(service)) pairs += service.backend_count;
    }
    // At most two entries for each pair: its own and its backend's address. As many remain free, so
    // that probes end.
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
    if (IsWide(frontend) && backend.port != 0) {
      return refuse("a frontend of any port or of a range of ports needs backends without a port");
    }
    const auto row = static_cast<uint32_t>(table_.rows_.size());
    table_.rows_.push_back(
        {NatEndpoint::Make(AddressOf(frontend), IsWide(frontend) ? uint16_t{0} : frontend.port),
         frontend.service_index, backend_index});
    frontend_of_.push_back(frontend_index);
    Claim(WordsOf(backend), AddressMeta(static_cast<Family>(backend.family)))->row = row;
    if (IsWide(frontend)) {
      wide_[{WordsOf(backend), PortMeta(backend, frontend.protocol, 0)}].push_back(row);
      return {};
    }
    const uint16_t port = backend.port != 0 ? backend.port : frontend.port;
    Entry* entry = Claim(WordsOf(backend), PortMeta(backend, frontend.protocol, port));
    if (entry->row != kNoRow) {
      return refuse("replies from " + NameOf(backend, port, frontend.protocol) +
                    " would belong to frontend " + TextOf(FrontendOfRow(entry->row)) + " as well");
    }
    entry->row = row;
    return {};
  }

  // Frontends that share a port of a backend must translate its replies to the same address and
  // port. Any-port and range frontends keep the port. So the frontends' addresses must be equal,
  // and an exact frontend must not translate its port.
  Status CheckWide() const {
    if (wide_.empty()) return {};
    std::map<std::pair<Words, uint64_t>, PortClaims<uint32_t>> claims;
    for (const auto& [name, rows] : wide_) {
      for (const uint32_t row : rows) RETURN_IF_ERROR(ClaimPorts(row, &claims[name]));
    }
    for (uint32_t row = 0; row < table_.rows_.size(); ++row) {
      const FrontendRecord& frontend = FrontendOfRow(row);
      if (IsWide(frontend)) continue;
      const BackendRecord& backend = BackendOfRow(row);
      const auto wide = claims.find({WordsOf(backend), PortMeta(backend, frontend.protocol, 0)});
      if (wide == claims.end()) continue;
      const uint16_t port = backend.port != 0 ? backend.port : frontend.port;
      const uint32_t* other = wide->second.Find(port);
      if (other == nullptr || (LeadsToSame(row, *other) && port == frontend.port)) continue;
      return RefuseBoth(port, row, *other);
    }
    return {};
  }

  Status ClaimPorts(uint32_t row, PortClaims<uint32_t>* claims) const {
    const FrontendRecord& frontend = FrontendOfRow(row);
    const uint16_t first = frontend.port != 0 ? frontend.port : uint16_t{1};
    const uint16_t last = frontend.port != 0 ? frontend.last_port : uint16_t{UINT16_MAX};
    const auto conflict =
        claims->Add(first, last, row, [this](uint32_t a, uint32_t b) { return LeadsToSame(a, b); });
    return conflict ? RefuseBoth(conflict->port, row, conflict->owner) : Status();
  }

  bool LeadsToSame(uint32_t row, uint32_t other) const {
    return AddressOf(FrontendOfRow(row)) == AddressOf(FrontendOfRow(other));
  }
  const FrontendRecord& FrontendOfRow(uint32_t row) const {
    return snapshot_.frontends()[frontend_of_[row]];
  }
  const BackendRecord& BackendOfRow(uint32_t row) const {
    return snapshot_.backends()[table_.rows_[row].backend_index];
  }

  Status RefuseBoth(uint16_t port, uint32_t row, uint32_t other) const {
    return InvalidArgument("nat: replies from " +
                           NameOf(BackendOfRow(row), port, FrontendOfRow(row).protocol) +
                           " would belong to frontend " + TextOf(FrontendOfRow(row)) +
                           " as well as to " + TextOf(FrontendOfRow(other)));
  }

  void AddRanges() {
    table_.any_wide_ = !wide_.empty();
    for (const auto& [name, rows] : wide_) {
      Entry* entry = Claim(name.first, name.second);
      std::vector<PortRangeValue> ranges;
      for (const uint32_t row : rows) {
        const FrontendRecord& frontend = FrontendOfRow(row);
        if (frontend.port == 0) {
          entry->row = row;
        } else {
          ranges.push_back({frontend.port, frontend.last_port, row});
        }
      }
      if (!ranges.empty()) entry->ranges = table_.ranges_.AddGroup(std::move(ranges));
    }
  }

  const SnapshotView& snapshot_;
  const NatFamilies families_;
  NatTable table_;
  std::vector<uint32_t> frontend_of_;  // by row
  // The rows of any-port and range frontends, by backend address and protocol.
  std::map<std::pair<Words, uint64_t>, std::vector<uint32_t>> wide_;
};

Result<NatTable> NatTable::Build(const SnapshotView& snapshot, NatFamilies families) {
  return Builder(snapshot, families).Build();
}

}  // namespace fairlead
