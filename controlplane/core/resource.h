// A resource descriptor: describes one kind of thing that operators configure (services with their
// backends, drains, the hash seed). The store, the history (and so the watches), the intent log and
// the API's router use one list of these descriptors. A new resource is a descriptor in its own
// file in controlplane/resources/, and a line in that folder's list.
//
// Each function pointer may be null: the resource does not need that function. The functions work
// on the differences between two views (intent.h), so the cost of a change depends on its size.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "controlplane/common/sqlite.h"
#include "controlplane/core/intent.h"

namespace fairlead {

struct Api;
class Router;
class RuleBook;

// A table of the store. Its last column is `checksum INTEGER NOT NULL`, a RowDigest of the other
// columns. A store without the table gets it when it is opened. A program that does not know the
// table refuses a store with rows in it, and names the table.
struct StoreTable {
  const char* name;
  const char* sql;  // CREATE TABLE
};

struct Resource {
  std::string_view name;

  // For the store, on its thread.
  // `create`: writes the first rows of a new store. A store that is older than the resource does
  // not have these rows; then `load` uses the default.
  // `save`: writes the rows that `change` affects.
  // `load`: reads all rows into `intent`. Resources before this one in the list are already loaded.
  std::span<const StoreTable> tables = {};
  Status (*create)(SqliteDatabase* database) = nullptr;
  Status (*save)(SqliteDatabase* database, const IntentChange& change) = nullptr;
  Status (*load)(SqliteDatabase* database, Intent* intent) = nullptr;

  // For history and watch: appends an object for each difference, {KIND: NAME, "before": old value
  // or null, "after": new value or null}.
  void (*describe)(const IntentChange& change, nlohmann::json* changes) = nullptr;

  // Validate the intent as a whole, with the content of other resources. `validate`: after a change.
  // `validate_stored`: the intent that the store had when the process started.
  Status (*validate)(RuleBook* rules, const IntentView& before, const IntentView& after) = nullptr;
  Status (*validate_stored)(RuleBook* rules, const IntentView& stored) = nullptr;

  // Adds the resource's part of the HTTP API.
  void (*add_routes)(Api* api, Router* router) = nullptr;
};

using ResourceList = std::span<const Resource* const>;

// fairleadd's resources, in the order of loading and of the history
// (controlplane/resources/list.cc).
ResourceList BuiltInResources();

}  // namespace fairlead
