// Any datagram as a link message. A message has one encoding in each version: an accepted message
// must encode to the same bytes, without the fields of later releases at its end, and with the
// defaults of those that an earlier build did not send.
#include <algorithm>
#include <cstdint>
#include <span>

#include "lib/base/check.h"
#include "lib/link/message.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fairlead;
  const auto datagram = std::as_bytes(std::span(data, size));
  const Result<DecodedMessage> decoded = DecodeLinkMessage(datagram);
  if (!decoded.ok()) return 0;
  const std::vector<std::byte> again =
      EncodeLinkMessage(decoded->id, decoded->message, decoded->version);
  CHECK(again.size() == size || decoded->version != kFirstLinkVersion);
  const auto common = std::span(again).first(std::min(size, again.size()));
  const auto body = common.subspan(sizeof(LinkHeader));
  CHECK(std::equal(body.begin(), body.end(), datagram.begin() + sizeof(LinkHeader)));
  CHECK(std::ranges::all_of(std::span(again).subspan(common.size()),
                            [](std::byte byte) { return byte == std::byte{0}; }));
  return 0;
}
