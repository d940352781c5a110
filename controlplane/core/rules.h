// The rules for a change of the intent: those of lib/intent, and those that depend on this host:
// its addresses and files.
// The cost of validating a change depends on the change's size: an index of the last validated
// intent serves the rules that concern several services. One thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "controlplane/core/intent.h"
#include "lib/intent/service_index.h"

namespace fairlead {

struct DataplaneStatus;  // status_board.h, which includes this file

// This host's own addresses, each with where it is configured ("interface eth0").
using OwnAddresses = std::map<IpAddress, std::string>;

class RuleBook {
 public:
  // Refuses new frontends on these addresses from now on: such a service would cut the host off.
  // Present frontends stay in the intent (StatusBoard lists them as left out).
  void SetOwnAddresses(const OwnAddresses* own) { own_addresses_ = own; }

  // Refuses checks through the dataplane from now on if no port of the connected dataplane has an
  // address for them.
  void SetDataplane(const DataplaneStatus* dataplane) { dataplane_ = dataplane; }

  // The rules for new settings, beyond ValidateServiceAt. `present`: the service before the change;
  // null: it is new. Messages start with `path`.
  Status ValidateNew(const ServiceSpec& service, const ServiceIntent* present,
                     std::string_view path) const;
  // Validates the intent of a store. It may contain settings that ValidateNew refuses.
  Status Load(const IntentView& stored);
  // Validates `after` as a whole. REQUIRES that `before` was accepted earlier. The caller need not
  // adopt `after`: the next call's `before` says which intent was adopted.
  Status Validate(const IntentView& before, const IntentView& after);

 private:
  Status JudgeService(const ServiceIntent* before, const ServiceIntent& after,
                      const std::string& path) const;
  // Updates the index to `view`. REQUIRES that `view` was accepted earlier.
  void Index(const IntentView& view);
  Status JudgeOwnAddresses(const ServiceSpec& service, const ServiceIntent* present,
                           std::string_view path) const;

  Status JudgeCheckPath(const ServiceSpec& service, std::string_view path) const;
  // Reads the CA files of a new or changed health check.
  Status JudgeCaFiles(const ServiceSpec& service, const ServiceIntent* present,
                      std::string_view path) const;

  const OwnAddresses* own_addresses_ = nullptr;  // null: none
  const DataplaneStatus* dataplane_ = nullptr;   // null: not known
  ServiceIndex index_;
  IntentView indexed_ = std::make_shared<Intent>();
};

}  // namespace fairlead
