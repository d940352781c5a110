// A resource: a kind of thing that people configure (services with their backends, drains, the hash
// seed), described once. The store, the history (and so watchers), the intent log and the API's router
// each walk over one list of these descriptors. A new resource is a descriptor in a file of its own in
// controlplane/resources/, and a line in that folder's list.
//
// Each function is a pointer that may be null: the resource has nothing of that kind. All of them work
// on what differs between two views (intent.h), so that a change costs what it changes.
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

// A table of the store. Its last column is `checksum INTEGER NOT NULL`, a RowDigest of the others. A
// store that has not got it yet gets it when it is opened; a program that does not know it refuses a
// store that has rows in it, by its name.
struct StoreTable {
  const char* name;
  const char* sql;  // CREATE TABLE
};

struct Resource {
  std::string_view name;

  // Store, on its thread. `create`: what a new store begins with; one that was made before the resource
  // existed has no such rows, and `load` takes that for the default. `save`: rows of what `change` makes
  // otherwise. `load`: all rows into `intent`; resources before this one in the list are loaded.
  std::span<const StoreTable> tables = {};
  Status (*create)(SqliteDatabase* database) = nullptr;
  Status (*save)(SqliteDatabase* database, const IntentChange& change) = nullptr;
  Status (*load)(SqliteDatabase* database, Intent* intent) = nullptr;

  // History and watch: appends an object for each thing that differs, {KIND: NAME, "before": what it
  // was or null, "after": what it is or null}.
  void (*describe)(const IntentChange& change, nlohmann::json* changes) = nullptr;

  // The rules of the intent as a whole, with all that other resources have in it. `judge`: of a change;
  // `judge_stored`: of what a store had when the process started.
  Status (*judge)(RuleBook* rules, const IntentView& before, const IntentView& after) = nullptr;
  Status (*judge_stored)(RuleBook* rules, const IntentView& stored) = nullptr;

  // HTTP: its part of the API.
  void (*add_routes)(Api* api, Router* router) = nullptr;
};

using ResourceList = std::span<const Resource* const>;

// What fairleadd has, in the order in which it is loaded and told (controlplane/resources/list.cc).
ResourceList BuiltInResources();

}  // namespace fairlead
