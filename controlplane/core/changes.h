// The changes that a request can make to the intent, each as a mutation for IntentLog::Apply. A
// mutation first validates the request alone, so that messages name the request's own paths. Then
// it edits the draft. The log validates the resulting intent as a whole.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "controlplane/core/draft.h"
#include "controlplane/core/rules.h"

namespace fairlead {

// Who asks for a change.
struct Author {
  // Has a constructor, because GCC 12 destroys a temporary aggregate in a co_await expression
  // twice.
  explicit Author(std::string name_in = {}, std::string owner_in = {}, bool override_in = false)
      : name(std::move(name_in)), owner(std::move(owner_in)), override_owner(override_in) {}

  std::string name;             // for the history: "root", "uid 1000"
  std::string owner;            // Fairlead-Owner; empty: people
  bool override_owner = false;  // may change backends of other owners
};

struct ChangeContext {
  const RuleBook& rules;
  const Author& author;
  int64_t now_ms;  // wall time
};

using Mutation = std::function<Status(IntentDraft* draft, const ChangeContext& context)>;

// kAlreadyExists if a service has this name.
Mutation AddService(ServiceSpec spec);
// Replaces settings and backends. kNotFound if the service does not exist.
Mutation ReplaceService(ServiceSpec spec);
// `edit` makes the new settings from the present ones. It gets them without backends.
using SettingsEdit = std::function<Result<ServiceSpec>(const ServiceSpec& present)>;
Mutation EditService(std::string name, SettingsEdit edit);
Mutation RemoveService(std::string name);

Mutation AddBackends(std::string service, std::vector<BackendSpec> backends);
// `edit` makes the new specification from the present one. The endpoint stays.
using BackendEdit = std::function<Result<BackendSpec>(const BackendSpec& present)>;
Mutation EditBackend(std::string service, Endpoint endpoint, BackendEdit edit);
Mutation RemoveBackend(std::string service, Endpoint endpoint);

// Starts a drain, or moves the deadline of a present one, counted from its start. Without
// `timeout_ms`, a new drain gets the service's timeout, and a present drain stays as it is.
Mutation DrainBackend(std::string service, Endpoint endpoint, std::optional<uint32_t> timeout_ms);
Mutation UndrainBackend(std::string service, Endpoint endpoint);

// Sets the hash seed of all services. REQUIRES that it is not 0.
Mutation SetHashSeed(uint64_t seed);
// Adds or replaces the services of `intent`. A seed of 0 keeps the present one.
Mutation ImportIntent(IntentSpec intent);

// Find the service or backend that a request names. kNotFound with a message that names it.
Result<const ServiceIntent*> FindService(const Intent& intent, const std::string& name);
// The endpoint may have a port that the backend does not have (ServiceIntent::FindByRequest).
Result<const BackendIntent*> FindBackend(const Intent& intent, const std::string& service,
                                         const Endpoint& endpoint);

}  // namespace fairlead
