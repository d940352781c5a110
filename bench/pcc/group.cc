#include "bench/pcc/group.h"

#include "lib/base/check.h"

namespace fairlead::pcc {
namespace {

// A router has its own hash, so this one does not depend on what the balancers take from theirs.
uint64_t RouterHash(const FlowHash& hash) {
  uint64_t z = hash.high ^ (hash.low * 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 32)) * 0xd6e8feb86659fd93;
  return z ^ (z >> 32);
}

}  // namespace

Ecmp::Ecmp(uint32_t count, bool full_rehash) : is_alive_(count, true), full_rehash_(full_rehash) {
  for (uint32_t i = 0; i < count; ++i) alive_.push_back(i);
}

void Ecmp::SetAlive(uint32_t balancer, bool alive) {
  is_alive_[balancer] = alive;
  alive_.clear();
  for (uint32_t i = 0; i < is_alive_.size(); ++i) {
    if (is_alive_[i]) alive_.push_back(i);
  }
  CHECK(!alive_.empty());
}

uint32_t Ecmp::Pick(const FlowHash& hash) const {
  const uint64_t router_hash = RouterHash(hash);
  if (full_rehash_) return alive_[router_hash % alive_.size()];
  const auto home = static_cast<uint32_t>(router_hash % is_alive_.size());
  return is_alive_[home] ? home : alive_[(router_hash >> 32) % alive_.size()];
}

}  // namespace fairlead::pcc
