// The rules between services: no frontend in two services, no backend that is a frontend of another
// service, no port ranges that overlap partly, the names of nat (nat_rules.h), and limits on
// totals. It is an index of all services, so that the cost of a change does not depend on their
// number.
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

// The change of one service. The backends in `before` and `after` are not used.
struct ServiceEdit {
  struct Added {
    Endpoint endpoint;
    size_t index;  // of the backend, for messages
  };
  const ServiceSpec* before = nullptr;  // null: it is new
  const ServiceSpec* after = nullptr;   // null: it is deleted
  // The backends that are removed and added. If KeepsIndex() is false: all old and all new
  // backends.
  std::vector<Endpoint> removed = {};
  std::vector<Added> added = {};
  std::string path = {};  // messages begin with it

  // True if backends that stay need no change in the index.
  static bool KeepsIndex(const ServiceSpec* before, const ServiceSpec* after);
};

class ServiceIndex {
 public:
  ServiceIndex() = default;
  ServiceIndex(const ServiceIndex&) = delete;
  ServiceIndex& operator=(const ServiceIndex&) = delete;

  // Makes all edits, or none on failure: kAlreadyExists if two services claim the same, else
  // kInvalidArgument. REQUIRES that each service is valid (ValidateServiceAt), and that `before`
  // and `removed` match the index.
  Status Change(std::span<const ServiceEdit> edits);

  // True after a lack of memory: the index is inconsistent, and must be cleared and filled anew.
  bool is_broken() const { return is_broken_; }
  void Clear();

 private:
  struct Entry : NatService {
    ForwardingMode forwarding = ForwardingMode::kDsr;
  };
  // The order that PortNesting requires.
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
  // The number of backends with this address that a service has.
  std::map<std::pair<IpAddress, const Entry*>, uint32_t> backend_addresses_;
  NatRules nat_;
  size_t backend_count_ = 0;
  bool is_broken_ = false;
};

}  // namespace fairlead
