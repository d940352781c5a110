// Makes images of services that change one at a time. Keeps the last image, and writes into it only
// what changed, where nothing changes its place: another weight or state of a backend. The same services
// give the same bytes, whatever the order in which they came (format.h).
//
// Judges nothing: what it is given must fit the records' fields (builder.h checks that for foreign
// input), and ValidateSnapshot judges the image. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lib/snapshot/builder.h"
#include "lib/snapshot/format.h"

namespace fairlead {

// What an image says that belongs to no service.
struct SnapshotGlobals {
  uint64_t generation = 0;
  uint64_t hash_seed = 0;
  uint64_t change_id = 0;
  std::optional<SnapshotNextHop> client_next_hop_v4 = {};
  std::optional<SnapshotNextHop> client_next_hop_v6 = {};
};

class SnapshotAssembler {
 public:
  SnapshotAssembler();
  ~SnapshotAssembler();
  SnapshotAssembler(const SnapshotAssembler&) = delete;
  SnapshotAssembler& operator=(const SnapshotAssembler&) = delete;

  // Beside those of the same name, should there be any.
  void Add(const SnapshotService& service);
  // In place of the one of the same name, or as a new one.
  void Put(const SnapshotService& service);
  // Nothing happens when there is none.
  void Remove(std::string_view name);
  // In place of the backend with the same endpoint. REQUIRES that the service is there and has it.
  void PutBackend(std::string_view service, const SnapshotBackend& backend);
  void Clear();

  // Brings image() to the present state. True: it says something else than before, beside its
  // generation.
  bool Assemble(const SnapshotGlobals& globals);
  // As of the last Assemble(); aligned to 8. Valid until the next one.
  std::span<const std::byte> image() const { return std::as_bytes(std::span(words_)); }
  std::vector<uint64_t> TakeImage() && { return std::move(words_); }

  // Which bytes of image() the calls of Assemble() have written since this was called last. At most
  // kMaxWrites ranges: more are told as `all`.
  struct Writes {
    bool all = false;  // its length may be another, too
    struct Range {
      size_t offset_bytes;
      size_t length_bytes;
    };
    std::vector<Range> ranges = {};  // else these
  };
  static constexpr size_t kMaxWrites = 10'000;
  Writes TakeWrites() { return std::exchange(writes_, {}); }

 private:
  struct Service;
  // Next hops that services share. A backend's record holds its hop's slot until an image is made,
  // which numbers them in their order.
  class NextHops;

  std::unique_ptr<Service> Make(const SnapshotService& service);
  void Release(const Service& service);
  void SortFrontends();
  void TakeClientNextHop(const std::optional<SnapshotNextHop>& hop, uint32_t* slot);
  SnapshotHeader MakeHeader(const SnapshotGlobals& globals) const;
  void WriteAll(SnapshotHeader* header);
  // Of a service whose place in the image is as it was. True: something differs.
  bool WriteAgain(const SnapshotHeader& header, Service* service);
  bool WriteBackend(const SnapshotHeader& header, const Service& service, size_t index);
  void NoteWrite(size_t offset_bytes, size_t length_bytes);
  template <typename Record>
  bool Write(uint64_t offset_bytes, const Record& record);
  void WriteHeader(SnapshotHeader header);

  std::vector<std::unique_ptr<Service>> services_;  // by name
  std::unique_ptr<NextHops> next_hops_;
  uint32_t client_v4_ = kNoNextHop;  // slots
  uint32_t client_v6_ = kNoNextHop;
  std::vector<FrontendRecord> frontends_;  // of all services, in an image's order
  bool frontends_changed_ = false;
  bool layout_changed_ = true;
  std::vector<Service*> changed_;  // whose records differ from the image's
  std::vector<uint64_t> words_;    // the image
  Writes writes_;
};

}  // namespace fairlead
