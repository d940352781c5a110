#include "controlplane/core/changes.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "lib/base/nearest_word.h"

namespace fairlead {
namespace {

std::string NameOfOwner(const std::string& owner) { return owner.empty() ? "people" : owner; }

Status NoSuchService(const Intent& intent, const std::string& name) {
  std::vector<std::string_view> names;
  names.reserve(intent.services.size());
  for (const auto& each : intent.services) names.push_back(each->name());
  return NotFound("no service is named '" + name + "'" + DidYouMean(name, names));
}

// kWrongOwner if the backend has another owner and the author does not override it.
Status CheckOwner(const BackendIntent& backend, const std::string& service, const Author& author) {
  if (backend.owner == author.owner || author.override_owner) return {};
  return Status(ErrorCode::kWrongOwner,
                "backend " + backend.spec.endpoint.ToString() + " of service '" + service +
                    "' belongs to " + NameOfOwner(backend.owner) + ", not to " +
                    NameOfOwner(author.owner) +
                    "; leave the change to its owner, or send Fairlead-Override: owner");
}

// People may always stop new flows to a backend.
bool StopsNewFlowsOnly(const BackendSpec& before, const BackendSpec& after, const Author& author) {
  BackendSpec stopped = before;
  stopped.weight = 0;
  return author.owner.empty() && after == stopped;
}

Status CheckOwners(const ServiceIntent& service, const Author& author) {
  for (const auto& backend : service.backends) {
    RETURN_IF_ERROR(CheckOwner(*backend, service.name(), author));
  }
  return {};
}

// The author must own all backends that `spec` would remove or change.
Status CheckReplacedOwners(const ServiceIntent& present, const ServiceSpec& spec,
                           const Author& author) {
  for (const auto& backend : present.backends) {
    const auto same = std::ranges::find(spec.backends, backend->spec);
    if (same == spec.backends.end()) {
      RETURN_IF_ERROR(CheckOwner(*backend, present.name(), author));
    }
  }
  return {};
}

}  // namespace

Result<const ServiceIntent*> FindService(const Intent& intent, const std::string& name) {
  const ServiceIntent* service = intent.Find(name);
  if (service == nullptr) return NoSuchService(intent, name);
  return service;
}

Result<const BackendIntent*> FindBackend(const Intent& intent, const std::string& service,
                                         const Endpoint& endpoint) {
  ASSIGN_OR_RETURN(const ServiceIntent* found, FindService(intent, service));
  const BackendIntent* backend = found->FindByRequest(endpoint);
  if (backend == nullptr) {
    return NotFound("service '" + service + "' has no backend " + endpoint.ToString());
  }
  return backend;
}

namespace {

// Finds a backend in the draft. Same error messages as FindBackend.
Result<const BackendIntent*> FindInDraft(const IntentDraft& draft, const std::string& service,
                                         const Endpoint& endpoint) {
  const ServiceIntent* found = draft.Find(service);
  if (found == nullptr) return NoSuchService(draft.base(), service);
  const BackendIntent* backend = found->FindByRequest(endpoint);
  if (backend == nullptr) {
    return NotFound("service '" + service + "' has no backend " + endpoint.ToString());
  }
  return backend;
}

// Validates and normalises `spec`, and puts it into the draft. Validation refuses backends that
// have the same endpoint once normalised.
Status PutNormalised(IntentDraft* draft, ServiceSpec spec, const ChangeContext& context) {
  RETURN_IF_ERROR(ValidateServiceAt(spec, ""));
  NormalizeService(&spec);
  draft->PutService(std::move(spec), context.author.owner);
  return {};
}

}  // namespace

Mutation AddService(ServiceSpec spec) {
  return [spec = std::move(spec)](IntentDraft* draft, const ChangeContext& context) -> Status {
    if (draft->Find(spec.name) != nullptr) {
      return AlreadyExists("a service named '" + spec.name + "' already exists");
    }
    RETURN_IF_ERROR(context.rules.ValidateNew(spec, nullptr, ""));
    return PutNormalised(draft, spec, context);
  };
}

Mutation ReplaceService(ServiceSpec spec) {
  return [spec = std::move(spec)](IntentDraft* draft, const ChangeContext& context) -> Status {
    const ServiceIntent* present = draft->Find(spec.name);
    if (present == nullptr) return NoSuchService(draft->base(), spec.name);
    RETURN_IF_ERROR(context.rules.ValidateNew(spec, present, ""));
    ServiceSpec normalised = spec;
    NormalizeService(&normalised);
    RETURN_IF_ERROR(CheckReplacedOwners(*present, normalised, context.author));
    return PutNormalised(draft, spec, context);
  };
}

Mutation EditService(std::string name, SettingsEdit edit) {
  return [name = std::move(name), edit = std::move(edit)](IntentDraft* draft,
                                                          const ChangeContext& context) -> Status {
    const ServiceIntent* present = draft->Find(name);
    if (present == nullptr) return NoSuchService(draft->base(), name);
    ASSIGN_OR_RETURN(ServiceSpec spec, edit(present->settings));
    spec.backends = present->Spec().backends;
    RETURN_IF_ERROR(context.rules.ValidateNew(spec, present, ""));
    return PutNormalised(draft, std::move(spec), context);
  };
}

Mutation RemoveService(std::string name) {
  return [name = std::move(name)](IntentDraft* draft, const ChangeContext& context) -> Status {
    const ServiceIntent* present = draft->Find(name);
    if (present == nullptr) return NoSuchService(draft->base(), name);
    RETURN_IF_ERROR(CheckOwners(*present, context.author));
    draft->RemoveService(name);
    return {};
  };
}

Mutation AddBackends(std::string service, std::vector<BackendSpec> backends) {
  return [service = std::move(service), backends = std::move(backends)](
             IntentDraft* draft, const ChangeContext& context) -> Status {
    const ServiceIntent* present = draft->Find(service);
    if (present == nullptr) return NoSuchService(draft->base(), service);
    // Validated without the present backends, so that the index in a message is the request's.
    ServiceSpec added = present->settings;
    added.backends = backends;
    RETURN_IF_ERROR(ValidateServiceAt(added, ""));
    NormalizeService(&added);
    for (const BackendSpec& backend : added.backends) {
      if (draft->Find(service)->FindExact(backend.endpoint) != nullptr) {
        return AlreadyExists("service '" + service + "' already has a backend " +
                             backend.endpoint.ToString());
      }
      draft->AddBackend(service, backend, context.author.owner);
    }
    return {};
  };
}

Mutation EditBackend(std::string service, Endpoint endpoint, BackendEdit edit) {
  return [service = std::move(service), endpoint, edit = std::move(edit)](
             IntentDraft* draft, const ChangeContext& context) -> Status {
    ASSIGN_OR_RETURN(const BackendIntent* present, FindInDraft(*draft, service, endpoint));
    ASSIGN_OR_RETURN(BackendSpec spec, edit(present->spec));
    spec.endpoint = present->spec.endpoint;
    if (!StopsNewFlowsOnly(present->spec, spec, context.author)) {
      RETURN_IF_ERROR(CheckOwner(*present, service, context.author));
    }
    draft->PutBackend(service, spec);
    return {};
  };
}

Mutation RemoveBackend(std::string service, Endpoint endpoint) {
  return [service = std::move(service), endpoint](IntentDraft* draft,
                                                  const ChangeContext& context) -> Status {
    ASSIGN_OR_RETURN(const BackendIntent* present, FindInDraft(*draft, service, endpoint));
    RETURN_IF_ERROR(CheckOwner(*present, service, context.author));
    draft->RemoveBackend(service, present->spec.endpoint);
    return {};
  };
}

Mutation DrainBackend(std::string service, Endpoint endpoint, std::optional<uint32_t> timeout_ms) {
  return [service = std::move(service), endpoint, timeout_ms](
             IntentDraft* draft, const ChangeContext& context) -> Status {
    ASSIGN_OR_RETURN(const BackendIntent* present, FindInDraft(*draft, service, endpoint));
    // People may always stop new flows.
    if (!context.author.owner.empty()) {
      RETURN_IF_ERROR(CheckOwner(*present, service, context.author));
    }
    if (present->drain.has_value() && !timeout_ms.has_value()) return {};
    DrainIntent drain = present->drain.value_or(DrainIntent{draft->revision(), context.now_ms, 0});
    drain.deadline_ms =
        drain.started_ms + timeout_ms.value_or(draft->Find(service)->settings.drain_timeout_ms);
    if (present->drain != drain) draft->SetDrain(service, present->spec.endpoint, drain);
    return {};
  };
}

Mutation UndrainBackend(std::string service, Endpoint endpoint) {
  return [service = std::move(service), endpoint](IntentDraft* draft,
                                                  const ChangeContext& context) -> Status {
    ASSIGN_OR_RETURN(const BackendIntent* present, FindInDraft(*draft, service, endpoint));
    if (!present->drain.has_value()) {
      return NotFound("backend " + present->spec.endpoint.ToString() + " of service '" + service +
                      "' is not draining");
    }
    if (!context.author.owner.empty()) {
      RETURN_IF_ERROR(CheckOwner(*present, service, context.author));
    }
    draft->SetDrain(service, present->spec.endpoint, std::nullopt);
    return {};
  };
}

Mutation SetHashSeed(uint64_t seed) {
  return [seed](IntentDraft* draft, const ChangeContext&) -> Status {
    draft->set_hash_seed(seed);
    return {};
  };
}

Mutation ImportIntent(IntentSpec intent) {
  return [intent = std::move(intent)](IntentDraft* draft, const ChangeContext& context) -> Status {
    RETURN_IF_ERROR(ValidateIntent(intent));
    draft->set_changed();
    // A file without a seed keeps the random seed of the first start.
    if (intent.hash_seed != 0) draft->set_hash_seed(intent.hash_seed);
    for (size_t i = 0; i < intent.services.size(); ++i) {
      const std::string path = "services[" + std::to_string(i) + "].";
      RETURN_IF_ERROR(context.rules.ValidateNew(intent.services[i], nullptr, path));
      ServiceSpec spec = intent.services[i];
      NormalizeService(&spec);
      draft->PutService(std::move(spec), context.author.owner);
    }
    return {};
  };
}

}  // namespace fairlead
