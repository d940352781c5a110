// A change of the intent under construction: a base view, and the differences from it. Services and
// backends are copied at their first edit. All other parts stay shared with the base.
//
// Used within one mutation. One thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "controlplane/core/intent.h"

namespace fairlead {

// The ids of present services and backends. New ones get ids that are not in these sets.
struct IdsInUse {
  std::unordered_set<uint32_t> services;
  std::unordered_set<uint32_t> backends;
};

class IntentDraft {
 public:
  // `revision`: the revision of the finished draft. Borrows `ids`, and adds new ids to it at once.
  // Abandon() removes them again.
  IntentDraft(IntentView base, uint64_t revision, IdsInUse* ids);

  const Intent& base() const { return *base_; }
  uint64_t revision() const { return next_->revision; }
  const ServiceIntent* Find(const std::string& name) const { return next_->Find(name); }

  void set_hash_seed(uint64_t seed) { next_->hash_seed = seed; }
  // Makes the draft count as a change even if nothing differs: the first configuration may be
  // empty.
  void set_changed() { changed_ = true; }
  // Gives the draft the base's revision: setting only the seed of a store that was never configured
  // is not a counted change.
  void KeepRevision() { next_->revision = base_->revision; }
  bool OnlySeedDiffers() const {
    return !changed_ && next_->services == base_->services && next_->contents == base_->contents;
  }
  void set_change_id(uint64_t id) { next_->change_id = id; }

  // Adds the service, or replaces its settings and backends. Backends that stay keep their ids,
  // owners and drains. New ones belong to `owner`. REQUIRES a normalised `spec` with distinct
  // endpoints.
  void PutService(ServiceSpec spec, const std::string& owner);
  // REQUIRES that the service exists, as do all functions below. Those that change a backend
  // require that it exists too.
  void RemoveService(const std::string& name);
  // REQUIRES a new, normalised endpoint.
  void AddBackend(const std::string& service, const BackendSpec& spec, const std::string& owner);
  // Replaces the specification of the backend with that endpoint.
  void PutBackend(const std::string& service, const BackendSpec& spec);
  void SetDrain(const std::string& service, const Endpoint& endpoint,
                const std::optional<DrainIntent>& drain);
  void RemoveBackend(const std::string& service, const Endpoint& endpoint);

  // The resource content of type T in this draft.
  template <typename T>
  const T& Content() const {
    return next_->Content<T>();
  }
  // A copy of that content for editing. Valid until the next call.
  template <typename T>
  T* EditContent() {
    auto copy = std::make_shared<ContentOf<T>>();
    copy->value = next_->Content<T>();
    T* value = &copy->value;
    next_->contents[typeid(T)] = std::move(copy);
    return value;
  }

  // Whether anything differs from the base. Restores the base's objects where an edit changed
  // nothing.
  bool HasChanged();
  // The finished view. The draft is used up.
  IntentView Finish();
  // The change is not made: removes the draft's new ids from `ids`.
  void Abandon();

 private:
  // The service's copy in this draft.
  ServiceIntent* Edit(const std::string& name);
  std::shared_ptr<const BackendIntent> NewBackend(const std::string& service,
                                                  const BackendSpec& spec,
                                                  const std::string& owner);

  IntentView base_;
  std::shared_ptr<Intent> next_;
  std::map<std::string, std::shared_ptr<ServiceIntent>> edited_;
  bool changed_ = false;
  IdsInUse* ids_;
  IdsInUse taken_;
};

// Removes the ids of services and backends that `after` no longer has.
void ReleaseIds(const Intent& before, const Intent& after, IdsInUse* ids);

}  // namespace fairlead
