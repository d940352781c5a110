// A change of the intent while it is being made: a base, and what differs from it. Services and
// backends are copied when they are first edited; everything else stays shared with the base.
//
// Lives within one mutation. One thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "controlplane/core/intent.h"

namespace fairlead {

// Ids of the services and backends that exist, so that new ones get free ones.
struct IdsInUse {
  std::unordered_set<uint32_t> services;
  std::unordered_set<uint32_t> backends;
};

class IntentDraft {
 public:
  // `revision`: that the finished draft will have. Borrows `ids`; takes new ids there at once, which
  // Abandon() gives back.
  IntentDraft(IntentView base, uint64_t revision, IdsInUse* ids);

  const Intent& base() const { return *base_; }
  uint64_t revision() const { return next_->revision; }
  const ServiceIntent* Find(const std::string& name) const { return next_->Find(name); }

  void set_hash_seed(uint64_t seed) { next_->hash_seed = seed; }
  // The change counts although nothing differs: the first configuration may be an empty one.
  void set_changed() { changed_ = true; }
  // The change is none that is counted: the seed of a store that was never configured.
  void KeepRevision() { next_->revision = base_->revision; }
  bool OnlySeedDiffers() const {
    return !changed_ && next_->services == base_->services && next_->contents == base_->contents;
  }
  void set_change_id(uint64_t id) { next_->change_id = id; }

  // Adds the service, or makes its settings and backends those of `spec`, which is normalised.
  // Backends that stay keep their ids, owners and drains; new ones are `owner`'s. REQUIRES distinct
  // endpoints.
  void PutService(ServiceSpec spec, const std::string& owner);
  // REQUIRES that it is there, as for all below.
  void RemoveService(const std::string& name);
  // REQUIRES a new endpoint, normalised.
  void AddBackend(const std::string& service, const BackendSpec& spec, const std::string& owner);
  // Replaces the specification of the backend with that endpoint.
  void PutBackend(const std::string& service, const BackendSpec& spec);
  void SetDrain(const std::string& service, const Endpoint& endpoint,
                const std::optional<DrainIntent>& drain);
  void RemoveBackend(const std::string& service, const Endpoint& endpoint);

  // As it is in this draft.
  template <typename T>
  const T& Content() const {
    return next_->Content<T>();
  }
  // The draft's copy of it. Good until the next call.
  template <typename T>
  T* EditContent() {
    auto copy = std::make_shared<ContentOf<T>>();
    copy->value = next_->Content<T>();
    T* value = &copy->value;
    next_->contents[typeid(T)] = std::move(copy);
    return value;
  }

  // Whether anything differs from the base. Puts back the base's objects where what was edited is as
  // it was.
  bool HasChanged();
  // The finished view. The draft is used up.
  IntentView Finish();
  // Gives back the ids that it took: the change is not made.
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

// Forgets the ids of what `after` no longer has.
void ReleaseIds(const Intent& before, const Intent& after, IdsInUse* ids);

}  // namespace fairlead
