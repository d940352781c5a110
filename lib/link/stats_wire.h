// Shared by the bodies of both versions (stats.h). Only for stats.cc and stats_v3.cc.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "lib/base/result.h"
#include "lib/link/stats.h"

namespace fairlead::stats_wire {

static_assert(std::endian::native == std::endian::little, "bodies are little-endian");

inline constexpr uint64_t kMagic = 0x5354415453444c46;  // "FLDSTATS" as it lies in memory

// The begin of every body.
struct Start {
  uint64_t magic;
  uint32_t version;
};

struct TotalsRecord {
  uint64_t rx_packets;
  uint64_t rx_bytes;
  uint64_t tx_packets;
  uint64_t tx_bytes;
  uint64_t generated;
  uint64_t to_kernel;
  uint64_t flow_capacity;
  uint64_t flow_records;
  uint64_t flow_pins;
  uint64_t flow_new;
  uint64_t flow_old;
  uint64_t flow_evicted;
  uint64_t flow_untracked;
  uint64_t flow_swept_at_ms_ago;
};
static_assert(sizeof(TotalsRecord) == 14 * 8);
TotalsRecord ToRecord(const PacketTotals& totals, const FlowTotals& flows);
// Converts all counters except the drops.
void FromRecord(const TotalsRecord& record, PacketTotals* totals, FlowTotals* flows);

struct PortStatsRecord {
  char name[kMaxPortNameBytes + 1];  // NUL-padded UTF-8
  char interface[kMaxPortNameBytes + 1];
  uint64_t flags;
  uint64_t steered_to_dataplane;
  uint64_t steered_to_kernel;
  uint64_t steered_no_socket;
  uint64_t kernel_delivered;
  uint64_t kernel_lost;
  uint64_t kernel_received;
  uint64_t kernel_sent;
  uint64_t kernel_unsent;
  uint64_t link_speed_mbps;  // here and below: not in version 3
  uint64_t link_changes;
  uint64_t link_for_ms;
  uint64_t nic_rx_missed;
  uint64_t nic_rx_errors;
  uint64_t nic_rx_no_buffer;
  uint64_t nic_tx_errors;
};
static_assert(sizeof(PortStatsRecord) == 256);
inline constexpr size_t kPortRecordBytesV3 = offsetof(PortStatsRecord, link_speed_mbps);
static_assert(kPortRecordBytesV3 == 200);
PortStatsRecord ToRecord(const PortStats& port);
// Reads only the fields that the record's flags declare.
Result<PortStats> FromRecord(const PortStatsRecord& record);

// A snapshot cannot have more (snapshot/format.h). The limit keeps the size arithmetic within 64
// bits.
inline constexpr uint64_t kMaxStatsRecords = 1U << 20;

template <typename Record>
void Append(const Record& record, std::vector<std::byte>* out) {
  const size_t at = out->size();
  out->resize(at + sizeof(record));
  std::memcpy(out->data() + at, &record, sizeof(record));
}

// Takes `record_bytes` bytes, which begin with the record. REQUIRES that `rest` has them, and that
// they are at least the record's size.
template <typename Record>
Record Take(std::span<const std::byte>* rest, size_t record_bytes = sizeof(Record)) {
  Record record;
  std::memcpy(&record, rest->data(), sizeof(record));
  *rest = rest->subspan(record_bytes);
  return record;
}

Status Refuse(const char* field, uint64_t value, const std::string& why);
// kInvalidArgument if `value` is above `most`.
Status CheckLimit(const char* field, uint64_t value, uint64_t most);

// Takes `count` ports of `record_bytes` each. Fields that such a record does not have are unset.
Status TakePorts(uint64_t count, size_t record_bytes, std::span<const std::byte>* rest,
                 std::vector<PortStats>* ports);

// Version 3, of release 0.1.0. EncodeV3 REQUIRES what EncodeStats does. DecodeV3 REQUIRES bytes
// that begin with a Start.
void EncodeV3(const DataplaneStats& stats, std::vector<std::byte>* out);
Result<DataplaneStats> DecodeV3(std::span<const std::byte> bytes, DataplaneStats memory);

}  // namespace fairlead::stats_wire
