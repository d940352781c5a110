// The intent: what operators (and programs that act for them) asked for, at one revision.
// Immutable. A change makes a new Intent, which shares all unchanged services and backends with the
// previous one. So a view is cheap to hold, and two views are compared by their pointers.
//
// Only IntentLog writes it. Any thread may read.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <typeindex>
#include <vector>

#include "lib/intent/model.h"

namespace fairlead {

// The request to drain a backend. Its progress is status (status_board.h).
struct DrainIntent {
  uint64_t revision = 0;   // that started the drain; distinguishes two drains of one backend
  int64_t started_ms = 0;  // wall time, like the deadline: both survive a restart
  int64_t deadline_ms = 0;
  friend bool operator==(const DrainIntent&, const DrainIntent&) = default;
};

struct BackendIntent {
  uint32_t id = 0;  // stable, unique over the intent, never 0
  BackendSpec spec;
  std::string owner;  // who added it; empty: people
  std::optional<DrainIntent> drain;
  uint64_t revision = 0;  // of its last change
};

struct ServiceIntent {
  uint32_t id = 0;       // stable, unique over the intent, never 0
  ServiceSpec settings;  // without backends, which are below
  std::vector<std::shared_ptr<const BackendIntent>> backends;  // by endpoint

  const std::string& name() const { return settings.name; }
  // The backend with exactly this endpoint; null: there is none.
  const BackendIntent* FindExact(const Endpoint& endpoint) const;
  // The backend that a request names: the one with this endpoint. If there is none and a frontend
  // has the endpoint's port: the backend with this address and without a port.
  const BackendIntent* FindByRequest(const Endpoint& endpoint) const;
  // Settings and backends together, as in services.yaml and the API.
  ServiceSpec Spec() const;
};

// The part of the intent that belongs to another resource than those in Intent: a value of the
// resource's type (resource.h).
class ResourceContent {
 public:
  virtual ~ResourceContent() = default;
  virtual bool Equals(const ResourceContent& other) const = 0;
};

// REQUIRES that T can be copied and compared. T() is the content before the first change.
template <typename T>
struct ContentOf final : ResourceContent {
  T value;
  bool Equals(const ResourceContent& other) const override {
    // Both have the same key in Intent::contents, so they have the same type.
    return value == static_cast<const ContentOf&>(other).value;
  }
};

struct Intent {
  uint64_t revision = 0;  // counts changes; 0: nothing was ever configured
  uint64_t hash_seed = 0;
  uint64_t change_id = 0;  // of the last change, random; 0: there was none
  std::vector<std::shared_ptr<const ServiceIntent>> services;                  // by name
  std::map<std::type_index, std::shared_ptr<const ResourceContent>> contents;  // by type

  // The resource content of type T.
  template <typename T>
  const T& Content() const {
    static const T kNothing{};
    const auto found = contents.find(typeid(T));
    return found == contents.end() ? kNothing
                                   : static_cast<const ContentOf<T>&>(*found->second).value;
  }
  const ServiceIntent* Find(const std::string& name) const;
  size_t backend_count() const;
  // True if replies of a nat service need a next hop to clients of `family`.
  bool NeedsClientNextHop(Family family) const;
  IntentSpec Spec() const;
};

using IntentView = std::shared_ptr<const Intent>;

// The services that were added, changed or removed, compared by pointer. Walks once over both lists
// of services.
struct IntentDifference {
  struct Service {
    const ServiceIntent* before;  // null: it is new
    const ServiceIntent* after;   // null: it is gone
  };
  std::vector<Service> services;
};
IntentDifference Compare(const Intent& before, const Intent& after);

// The same for the backends of one service. Either may be null.
struct BackendDifference {
  const BackendIntent* before;
  const BackendIntent* after;

  // True also if a backend with another id has the same endpoint now.
  bool is_gone() const {
    return before != nullptr && (after == nullptr || after->id != before->id);
  }
  bool is_new() const { return after != nullptr && (before == nullptr || after->id != before->id); }
};
std::vector<BackendDifference> CompareBackends(const ServiceIntent* before,
                                               const ServiceIntent* after);

// Two views, and the services that differ. Borrows both.
struct IntentChange {
  IntentChange(const Intent& before_in, const Intent& after_in)
      : before(before_in), after(after_in), services(Compare(before, after).services) {}

  // Whether the content of type T may differ.
  template <typename T>
  bool Touches() const {
    return &before.Content<T>() != &after.Content<T>();
  }

  const Intent& before;
  const Intent& after;
  std::vector<IntentDifference::Service> services;
};

}  // namespace fairlead
