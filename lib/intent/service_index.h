// What lies between services: a frontend that two claim, a backend that is another's frontend, port
// ranges that overlap in part, names of nat (nat_rules.h), and totals. An index of all services, so
// that a change costs what it changes and not what is there.
//
// One thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "lib/base/result.h"
#include "lib/intent/model.h"
#include "lib/intent/nat_rules.h"

namespace fairlead {

// How one service changes. Settings without regard to their backends.
struct ServiceEdit {
  struct Added {
    Endpoint endpoint;
    size_t index;  // of the backend, for messages
  };
  const ServiceSpec* before = nullptr;  // null: it is new
  const ServiceSpec* after = nullptr;   // null: it is gone
  // The backends that go and come; all that it had and has where KeepsIndex() is false.
  std::vector<Endpoint> removed = {};
  std::vector<Added> added = {};
  std::string path = {};  // messages begin with it

  // True when what stays of its backends stays in the index as it is.
  static bool KeepsIndex(const ServiceSpec* before, const ServiceSpec* after);
};

class ServiceIndex {
 public:
  ServiceIndex() = default;
  ServiceIndex(const ServiceIndex&) = delete;
  ServiceIndex& operator=(const ServiceIndex&) = delete;

  // Makes all edits, or none: kAlreadyExists for what two services claim, kInvalidArgument for all
  // else. REQUIRES services that are valid each (ValidateServiceAt), and edits that follow upon what
  // the index has.
  Status Change(std::span<const ServiceEdit> edits);

  // A lack of memory left it in disorder: it must be Clear()ed and filled anew.
  bool is_broken() const { return is_broken_; }
  void Clear();

 private:
  struct Entry : NatService {
    ForwardingMode forwarding = ForwardingMode::kDsr;
  };
  // The order that PortNesting wants.
  struct WiderFirst {
    bool operator()(const Frontend& a, const Frontend& b) const {
      return std::tie(a.address, a.protocol, a.port, b.last_port) <
             std::tie(b.address, b.protocol, b.port, a.last_port);
    }
  };
  class Undo;

  Status ChangeOrUndo(std::span<const ServiceEdit> edits, Undo* undo);
  Entry* Find(const std::string& name);
  void Remove(const ServiceEdit& edit, Undo* undo);
  Status AddFrontends(const ServiceEdit& edit, Undo* undo);
  Status AddBackends(const ServiceEdit& edit, Undo* undo);
  Status CheckFrontends(const Entry& entry, const std::string& path) const;
  Status CheckRanges(const IpAddress& address, Protocol protocol) const;
  Status CheckNewRanges(std::span<const ServiceEdit> edits) const;
  Status CheckTotals() const;
  void Insert(std::unique_ptr<Entry> entry);
  std::unique_ptr<Entry> Extract(Entry* entry);
  Status InsertBackend(const Entry& entry, const Endpoint& endpoint, const std::string& path);
  void ExtractBackend(const Entry& entry, const Endpoint& endpoint);

  std::map<std::string, std::unique_ptr<Entry>> services_;
  std::map<Frontend, const Entry*> frontends_;
  std::map<Frontend, const Entry*, WiderFirst> ranges_;
  // How many backends with this address a service has.
  std::map<std::pair<IpAddress, const Entry*>, uint32_t> backend_addresses_;
  NatRules nat_;
  size_t backend_count_ = 0;
  bool is_broken_ = false;
};

}  // namespace fairlead
