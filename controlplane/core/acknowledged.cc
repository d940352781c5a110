#include "controlplane/core/acknowledged.h"

#include <unistd.h>

#include <cstddef>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace fairlead {
namespace {

constexpr uint64_t kMagic = 0x314b434144524c46;  // "FLRDACK1"

struct Content {
  uint64_t magic = kMagic;
  uint64_t generation = 0;
  uint64_t change_id = 0;
  uint64_t checksum = 0;

  uint64_t Checksum() const { return XXH3_64bits(this, offsetof(Content, checksum)); }
  bool is_good() const { return magic == kMagic && checksum == Checksum(); }
};

}  // namespace

Status AcknowledgedFile::Open(const std::string& path) {
  ASSIGN_OR_RETURN(file_, OpenOrCreateOwnFile(path, 0640));
  return {};
}

std::optional<AcknowledgedChange> AcknowledgedFile::Read() const {
  Content content;
  if (::pread(file_.get(), &content, sizeof(content), 0) != sizeof(content)) return std::nullopt;
  if (!content.is_good()) return std::nullopt;
  return AcknowledgedChange{content.generation, content.change_id};
}

void AcknowledgedFile::Write(const AcknowledgedChange& change) {
  Content content;
  content.generation = change.generation;
  content.change_id = change.change_id;
  content.checksum = content.Checksum();
  (void)!::pwrite(file_.get(), &content, sizeof(content), 0);
}

void AcknowledgedFile::Clear() { (void)!::ftruncate(file_.get(), 0); }

}  // namespace fairlead
