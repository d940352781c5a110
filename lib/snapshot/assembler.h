// Makes images of services that change one at a time. It keeps the last image. If no record moves,
// such as after another weight or state of a backend, it writes only the changes into that image.
// The same services give the same bytes, whatever the order of the calls (format.h).
//
// It checks nothing. Its input must fit the records' fields (builder.h checks that for foreign
// input), and ValidateSnapshot checks the image. One thread.
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

// The content of an image that belongs to no service.
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

  // Adds a service, even if there is one of the same name.
  void Add(const SnapshotService& service);
  // Replaces the service of the same name, or adds a new one.
  void Put(const SnapshotService& service);
  // Does nothing if there is no such service.
  void Remove(std::string_view name);
  // Replaces the backend with the same endpoint. REQUIRES that the service exists and has it.
  void PutBackend(std::string_view service, const SnapshotBackend& backend);
  void Clear();

  // Updates image(). True: something other than its generation changed.
  bool Assemble(const SnapshotGlobals& globals);
  // The image of the last Assemble(); aligned to 8. Valid until the next one.
  std::span<const std::byte> image() const { return std::as_bytes(std::span(words_)); }
  std::vector<uint64_t> TakeImage() && { return std::move(words_); }

  // The bytes of image() that Assemble() has written since the last TakeWrites(). At most
  // kMaxWrites ranges: if there are more, `all` is set.
  struct Writes {
    bool all = false;  // everything was written; the length may have changed, too
    struct Range {
      size_t offset_bytes;
      size_t length_bytes;
    };
    std::vector<Range> ranges = {};  // if not `all`
  };
  static constexpr size_t kMaxWrites = 10'000;
  Writes TakeWrites() { return std::exchange(writes_, {}); }

 private:
  struct Service;
  // The next hops that services share. Each has a handle, which backends' records contain until an
  // image is made. The image numbers next hops in their order.
  class NextHops;

  std::unique_ptr<Service> Make(const SnapshotService& service);
  void Release(const Service& service);
  void SortFrontends();
  void TakeClientNextHop(const std::optional<SnapshotNextHop>& hop, uint32_t* handle);
  SnapshotHeader MakeHeader(const SnapshotGlobals& globals) const;
  void WriteAll(SnapshotHeader* header);
  // Writes the changes of a service that has not moved in the image. True: something differs.
  bool WriteAgain(const SnapshotHeader& header, Service* service);
  bool WriteBackend(const SnapshotHeader& header, const Service& service, size_t index);
  void NoteWrite(size_t offset_bytes, size_t length_bytes);
  template <typename Record>
  bool Write(uint64_t offset_bytes, const Record& record);
  void WriteHeader(SnapshotHeader header);

  std::vector<std::unique_ptr<Service>> services_;  // by name
  std::unique_ptr<NextHops> next_hops_;
  uint32_t client_v4_ = kNoNextHop;  // handles of NextHops
  uint32_t client_v6_ = kNoNextHop;
  std::vector<FrontendRecord> frontends_;  // of all services, in the image's order
  bool frontends_changed_ = false;
  bool layout_changed_ = true;
  std::vector<Service*> changed_;  // services whose records may differ from the image's
  std::vector<uint64_t> words_;    // the image
  Writes writes_;
};

}  // namespace fairlead
