#include "lib/intent/service_index.h"

#include <functional>
#include <optional>

#include "lib/base/check.h"
#include "lib/mode/mode.h"
#include "lib/net/port_nesting.h"
#include "lib/snapshot/format.h"

namespace fairlead {
namespace {

std::string Indexed(const std::string& path, std::string_view field, size_t index) {
  return std::string(path).append(field).append("[").append(std::to_string(index)).append("]");
}

}  // namespace

bool ServiceEdit::KeepsIndex(const ServiceSpec* before, const ServiceSpec* after) {
  return before != nullptr && after != nullptr && before->forwarding == after->forwarding &&
         before->frontends == after->frontends;
}

// Records the steps of a change, and undoes them if the change fails.
class ServiceIndex::Undo {
 public:
  explicit Undo(ServiceIndex* index) : index_(index) {}
  Undo(const Undo&) = delete;
  Undo& operator=(const Undo&) = delete;
  ~Undo() {
    try {
      for (; !steps_.empty(); steps_.pop_back()) UndoStep(&steps_.back());
    } catch (const std::bad_alloc&) {
      index_->is_broken_ = true;
    }
  }

  void Keep() { steps_.clear(); }

  // Call these before the step.
  void WillAddBackend(const Entry* entry, const Endpoint& endpoint) {
    steps_.push_back({Step::kBackendAdded, entry, endpoint, nullptr});
  }
  // Removes the last step, which failed and so has changed nothing.
  void Forget() { steps_.pop_back(); }
  void WillRemoveBackend(const Entry* entry, const Endpoint& endpoint) {
    steps_.push_back({Step::kBackendRemoved, entry, endpoint, nullptr});
  }
  void WillAddService(const Entry* entry) {
    steps_.push_back({Step::kServiceAdded, entry, {}, nullptr});
  }
  void RemoveService(Entry* entry) {
    steps_.push_back({Step::kServiceRemoved, entry, {}, nullptr});
    steps_.back().removed = index_->Extract(entry);
  }

 private:
  struct Step {
    enum Kind : uint8_t { kBackendAdded, kBackendRemoved, kServiceAdded, kServiceRemoved } kind;
    const Entry* entry;
    Endpoint endpoint;
    std::unique_ptr<Entry> removed;
  };

  void UndoStep(Step* step) {
    switch (step->kind) {
      case Step::kBackendAdded:
        return index_->ExtractBackend(*step->entry, step->endpoint);
      case Step::kBackendRemoved:
        CHECK(index_->InsertBackend(*step->entry, step->endpoint, "").ok());
        return;
      case Step::kServiceAdded:
        index_->Extract(const_cast<Entry*>(step->entry));
        return;
      case Step::kServiceRemoved:
        return index_->Insert(std::move(step->removed));
    }
  }

  ServiceIndex* index_;
  std::vector<Step> steps_;
};

void ServiceIndex::Clear() {
  services_.clear();
  frontends_.clear();
  ranges_.clear();
  backend_addresses_.clear();
  nat_ = {};
  backend_count_ = 0;
  is_broken_ = false;
}

ServiceIndex::Entry* ServiceIndex::Find(const std::string& name) {
  const auto found = services_.find(name);
  return found == services_.end() ? nullptr : found->second.get();
}

void ServiceIndex::Insert(std::unique_ptr<Entry> entry) {
  for (const Frontend& frontend : entry->frontends) {
    frontends_.emplace(frontend, entry.get());
    if (frontend.is_range()) ranges_.emplace(frontend, entry.get());
  }
  const std::string& name = entry->name;
  services_.emplace(name, std::move(entry));
}

std::unique_ptr<ServiceIndex::Entry> ServiceIndex::Extract(Entry* entry) {
  for (const Frontend& frontend : entry->frontends) {
    frontends_.erase(frontend);
    ranges_.erase(frontend);
  }
  const auto found = services_.find(entry->name);
  std::unique_ptr<Entry> owned = std::move(found->second);
  services_.erase(found);
  return owned;
}

// On failure nothing is inserted.
Status ServiceIndex::InsertBackend(const Entry& entry, const Endpoint& endpoint,
                                   const std::string& path) {
  if (ModeOf(entry.forwarding).translates_replies) {
    RETURN_IF_ERROR(nat_.AddBackend(entry, endpoint, path));
  }
  ++backend_addresses_[{endpoint.address, &entry}];
  ++backend_count_;
  return {};
}

void ServiceIndex::ExtractBackend(const Entry& entry, const Endpoint& endpoint) {
  if (ModeOf(entry.forwarding).translates_replies) nat_.RemoveBackend(entry, endpoint);
  const auto found = backend_addresses_.find({endpoint.address, &entry});
  CHECK(found != backend_addresses_.end());
  if (--found->second == 0) backend_addresses_.erase(found);
  --backend_count_;
}

void ServiceIndex::Remove(const ServiceEdit& edit, Undo* undo) {
  if (edit.before == nullptr) return;
  Entry* entry = Find(edit.before->name);
  CHECK(entry != nullptr);
  for (const Endpoint& endpoint : edit.removed) {
    undo->WillRemoveBackend(entry, endpoint);
    ExtractBackend(*entry, endpoint);
  }
  if (!ServiceEdit::KeepsIndex(edit.before, edit.after)) undo->RemoveService(entry);
}

Status ServiceIndex::CheckFrontends(const Entry& entry, const std::string& path) const {
  if (services_.contains(entry.name)) {
    return AlreadyExists(path + "name: " + entry.name + " appears twice");
  }
  for (size_t i = 0; i < entry.frontends.size(); ++i) {
    const Frontend& frontend = entry.frontends[i];
    if (const auto other = frontends_.find(frontend); other != frontends_.end()) {
      return AlreadyExists(Indexed(path, "frontends", i) + ": " + frontend.ToString() +
                           " already belongs to service " + other->second->name);
    }
    const auto backend = backend_addresses_.lower_bound({frontend.address, nullptr});
    if (backend == backend_addresses_.end() || backend->first.first != frontend.address) continue;
    return InvalidArgument(Indexed(path, "frontends", i) + ": " + frontend.ToString() +
                           " has the address of a backend of service " +
                           backend->first.second->name + ": packets would come back in a loop");
  }
  return {};
}

Status ServiceIndex::AddFrontends(const ServiceEdit& edit, Undo* undo) {
  if (edit.after == nullptr || ServiceEdit::KeepsIndex(edit.before, edit.after)) return {};
  auto entry = std::make_unique<Entry>();
  entry->name = edit.after->name;
  entry->frontends = edit.after->frontends;
  entry->forwarding = edit.after->forwarding;
  RETURN_IF_ERROR(CheckFrontends(*entry, edit.path));
  undo->WillAddService(entry.get());
  Insert(std::move(entry));
  return {};
}

Status ServiceIndex::AddBackends(const ServiceEdit& edit, Undo* undo) {
  if (edit.added.empty()) return {};
  const Entry* entry = Find(edit.after->name);
  CHECK(entry != nullptr);
  for (const ServiceEdit::Added& backend : edit.added) {
    const std::string at = Indexed(edit.path, "backends", backend.index);
    const IpAddress& address = backend.endpoint.address;
    const auto other = frontends_.lower_bound(Frontend{address, 0, Protocol{0}, 0});
    if (other != frontends_.end() && other->first.address == address) {
      return InvalidArgument(at + ".address: " + address.ToString() + " is a frontend of service " +
                             other->second->name + ": packets would come back in a loop");
    }
    undo->WillAddBackend(entry, backend.endpoint);
    Status added = InsertBackend(*entry, backend.endpoint, at);
    if (added.ok()) continue;
    undo->Forget();
    return added;
  }
  return {};
}

// Fails if port ranges of one address and protocol overlap partly.
Status ServiceIndex::CheckRanges(const IpAddress& address, Protocol protocol) const {
  PortNesting nesting;
  std::vector<const std::pair<const Frontend, const Entry*>*> open;
  auto it = ranges_.lower_bound(Frontend{address, 0, protocol, UINT16_MAX});
  for (; it != ranges_.end() && it->first.address == address && it->first.protocol == protocol;
       ++it) {
    const auto other = nesting.Add(it->first.port, it->first.last_port, open.size());
    open.push_back(&*it);
    if (!other) continue;
    const auto& [other_frontend, other_service] = *open[*other];
    const std::string message = "service " + it->second->name +
                                ": frontends: " + it->first.ToString() + " overlaps " +
                                other_frontend.ToString() + " of service " + other_service->name +
                                " partly: ranges must nest or be disjoint";
    return it->second == other_service ? InvalidArgument(message) : AlreadyExists(message);
  }
  return {};
}

Status ServiceIndex::CheckNewRanges(std::span<const ServiceEdit> edits) const {
  std::set<std::pair<IpAddress, Protocol>> changed;
  for (const ServiceEdit& edit : edits) {
    if (edit.after == nullptr || ServiceEdit::KeepsIndex(edit.before, edit.after)) continue;
    for (const Frontend& frontend : edit.after->frontends) {
      if (frontend.is_range()) changed.insert({frontend.address, frontend.protocol});
    }
  }
  for (const auto& [address, protocol] : changed) RETURN_IF_ERROR(CheckRanges(address, protocol));
  return {};
}

Status ServiceIndex::CheckTotals() const {
  const auto refuse = [](size_t count, const std::string& what, size_t limit) {
    return InvalidArgument("services: " + std::to_string(count) + what + " are more than " +
                           std::to_string(limit));
  };
  if (services_.size() > kMaxServices) return refuse(services_.size(), "", kMaxServices);
  if (frontends_.size() > kMaxFrontends) {
    return refuse(frontends_.size(), " frontends in all", kMaxFrontends);
  }
  if (backend_count_ > kMaxBackends)
    return refuse(backend_count_, " backends in all", kMaxBackends);
  return {};
}

Status ServiceIndex::ChangeOrUndo(std::span<const ServiceEdit> edits, Undo* undo) {
  for (const ServiceEdit& edit : edits) Remove(edit, undo);
  for (const ServiceEdit& edit : edits) RETURN_IF_ERROR(AddFrontends(edit, undo));
  for (const ServiceEdit& edit : edits) RETURN_IF_ERROR(AddBackends(edit, undo));
  RETURN_IF_ERROR(CheckNewRanges(edits));
  RETURN_IF_ERROR(CheckTotals());
  undo->Keep();
  return {};
}

Status ServiceIndex::Change(std::span<const ServiceEdit> edits) {
  CHECK(!is_broken_);
  Undo undo(this);
  try {
    return ChangeOrUndo(edits, &undo);
  } catch (const std::bad_alloc&) {
    // A step is incomplete and cannot be undone.
    undo.Keep();
    is_broken_ = true;
    throw;
  }
}

}  // namespace fairlead
