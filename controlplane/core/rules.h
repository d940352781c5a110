// What a change of the intent must keep to: lib/intent's rule book, and what this host adds to it.
// Judging a change costs what the change is: what lies between services is kept as an index of the
// intent that was judged last. One thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "controlplane/core/intent.h"
#include "lib/intent/service_index.h"

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
  // The whole of what a store holds, which may have what a new service may not (JudgeNew).
  Status Load(const IntentView& stored);
  // The whole of `after`, of which `before` was judged already. What is accepted need not become the
  // intent: the next call says what did.
  Status Judge(const IntentView& before, const IntentView& after);

 private:
  Status JudgeService(const ServiceIntent* before, const ServiceIntent& after,
                      const std::string& path) const;
  // Makes the index that of `view`, which was judged already.
  void Index(const IntentView& view);
  Status JudgeOwnAddresses(const ServiceSpec& service, const ServiceIntent* present,
                           std::string_view path) const;

  const OwnAddresses* own_addresses_ = nullptr;  // null: none
  ServiceIndex index_;
  IntentView indexed_ = std::make_shared<Intent>();
};

}  // namespace fairlead
