// The changes that people make to the intent, each as a mutation for IntentLog::Apply. A mutation
// judges what the request says by itself, so that messages carry the request's own paths, and then
// edits the draft; the log judges the result as a whole.
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
  // No aggregate: GCC 12 destroys a temporary one in a co_await expression twice.
  explicit Author(std::string name_in = {}, std::string owner_in = {}, bool override_in = false)
      : name(std::move(name_in)), owner(std::move(owner_in)), override_owner(override_in) {}

  std::string name;             // for the history: "root", "uid 1000"
  std::string owner;            // Fairlead-Owner; empty: people
  bool override_owner = false;  // may change what others own
};

struct ChangeContext {
  const RuleBook& rules;
  const Author& author;
  int64_t now_ms;  // wall time
};

using Mutation = std::function<Status(IntentDraft* draft, const ChangeContext& context)>;

// kAlreadyExists when a service has the name.
Mutation AddService(ServiceSpec spec);
// Settings and backends; kNotFound without the service.
Mutation ReplaceService(ServiceSpec spec);
// The settings become what `edit` makes of the present ones, which are given without backends.
using SettingsEdit = std::function<Result<ServiceSpec>(const ServiceSpec& present)>;
Mutation EditService(std::string name, SettingsEdit edit);
Mutation RemoveService(std::string name);

Mutation AddBackends(std::string service, std::vector<BackendSpec> backends);
// The specification becomes what `edit` makes of the present one; the endpoint stays.
using BackendEdit = std::function<Result<BackendSpec>(const BackendSpec& present)>;
Mutation EditBackend(std::string service, Endpoint endpoint, BackendEdit edit);
Mutation RemoveBackend(std::string service, Endpoint endpoint);

// Starts a drain, or moves the deadline of the one that is there, counted from its start. Without
// `timeout_ms`: the service's; a drain that is there stays as it is.
Mutation DrainBackend(std::string service, Endpoint endpoint, std::optional<uint32_t> timeout_ms);
Mutation UndrainBackend(std::string service, Endpoint endpoint);

// Another hash seed for all services; not 0.
Mutation SetHashSeed(uint64_t seed);
// Makes `intent` the content. A seed of 0 leaves the present one.
Mutation ImportIntent(IntentSpec intent);

// Finds what a request names, with errors that name it: kNotFound.
Result<const ServiceIntent*> FindService(const Intent& intent, const std::string& name);
// By what a person means (ServiceIntent::FindMeant).
Result<const BackendIntent*> FindBackend(const Intent& intent, const std::string& service,
                                         const Endpoint& endpoint);

}  // namespace fairlead
