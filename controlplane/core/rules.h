// What a change of the intent must keep to: lib/intent's rule book, and what this host adds to it.
// One thread.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "controlplane/core/intent.h"

namespace fairlead {

// This host's own addresses, each with whose it is ("interface eth0").
using OwnAddresses = std::map<IpAddress, std::string>;

class RuleBook {
 public:
  // Frontends on one of them are refused from now on: such a service would cut the host off. Those
  // that are there stay in the intent (StatusBoard has them as left out).
  void SetOwnAddresses(const OwnAddresses* own) { own_addresses_ = own; }

  // What is asked of a service that is new, or other than `present` (null: it is new), beyond
  // ValidateServiceAt. Messages start with `path`.
  Status JudgeNew(const ServiceSpec& service, const ServiceIntent* present,
                  std::string_view path) const;
  // The whole of `after`, of which `before` was judged already.
  Status Judge(const Intent& before, const Intent& after) const;

 private:
  Status JudgeOwnAddresses(const ServiceSpec& service, const ServiceIntent* present,
                           std::string_view path) const;

  const OwnAddresses* own_addresses_ = nullptr;  // null: none
};

}  // namespace fairlead
