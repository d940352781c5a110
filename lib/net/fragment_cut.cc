#include "lib/net/fragment_cut.h"

#include <algorithm>
#include <cstring>

#include "lib/base/check.h"
#include "lib/net/checksum.h"
#include "lib/net/headers.h"

namespace fairlead {
namespace {

constexpr uint8_t kOptionEnd = 0;
constexpr uint8_t kOptionNop = 1;
constexpr uint8_t kOptionCopied = 0x80;
constexpr uint32_t kUnitBytes = 8;  // of the offset field

// Copies the options that every piece carries to `out` (40 bytes). Returns their length, padded
// with zeros (end of options) to a multiple of 4. Stops at a malformed option.
uint32_t CopiedOptions(const uint8_t* options, uint32_t length, uint8_t* out) {
  uint32_t copied = 0;
  uint32_t at = 0;
  while (at < length && options[at] != kOptionEnd) {
    if (options[at] == kOptionNop) {
      ++at;
      continue;
    }
    if (length - at < 2) break;
    const uint32_t size = options[at + 1];
    if (size < 2 || size > length - at) break;
    if ((options[at] & kOptionCopied) != 0) {
      std::memcpy(out + copied, options + at, size);
      copied += size;
    }
    at += size;
  }
  while (copied % 4 != 0) out[copied++] = kOptionEnd;
  return copied;
}

uint32_t RoundDown(uint32_t bytes) { return bytes / kUnitBytes * kUnitBytes; }

// The checksum that makes `header` (its checksum field is 0) correct if `original` is correct, else
// wrong by the same amount.
uint16_t ChecksumLike(const uint8_t* original, uint32_t original_length, const uint8_t* header,
                      uint32_t length) {
  const uint16_t error = Checksum(original, original_length);  // 0: the original's is correct
  const uint16_t right = Checksum(header, length);
  if (error == 0) return right;
  return static_cast<uint16_t>(~ChecksumFold(uint64_t{right} + static_cast<uint16_t>(~error)));
}

}  // namespace

DropReason FragmentCut::Plan(const uint8_t* ip, uint32_t mtu) {
  const auto& header = *reinterpret_cast<const Ipv4Header*>(ip);
  const uint32_t total = header.total_length.host();
  DCHECK(header.header_length() >= sizeof(Ipv4Header) && header.header_length() <= total);
  ip_ = ip;
  header_length_ = header.header_length();
  payload_length_ = total - header_length_;
  count_ = 1;
  first_payload_ = payload_length_;
  if (total <= mtu) return DropReason::kNone;
  if ((header.flags_fragment.host() & kIpv4DontFragment) != 0) return DropReason::k_too_big;
  uint8_t options[kMaxIpv4HeaderBytes - sizeof(Ipv4Header)];
  later_header_length_ = uint32_t{sizeof(Ipv4Header)} +
                         CopiedOptions(ip + sizeof(Ipv4Header),
                                       header_length_ - uint32_t{sizeof(Ipv4Header)}, options);
  if (mtu < header_length_ + kUnitBytes) return DropReason::k_too_big;
  first_payload_ = RoundDown(mtu - header_length_);
  later_payload_ = RoundDown(mtu - later_header_length_);
  // The last piece need not be a multiple of 8, so it may have up to 7 bytes more than the others.
  const uint32_t last_most = mtu - later_header_length_;
  const uint32_t rest = payload_length_ - first_payload_;
  count_ = 2;
  if (rest > last_most) count_ += (rest - last_most + later_payload_ - 1) / later_payload_;
  return count_ <= kMaxPieces ? DropReason::kNone : DropReason::k_too_big;
}

FragmentPiece FragmentCut::piece(uint32_t index) const {
  DCHECK(index < count_);
  if (index == 0) return {0, first_payload_, header_length_};
  const uint32_t begin = first_payload_ + (index - 1) * later_payload_;
  const uint32_t left = payload_length_ - begin;
  return {begin, index + 1 == count_ ? left : later_payload_, later_header_length_};
}

void FragmentCut::WriteHeader(uint32_t index, uint8_t* out) const {
  const FragmentPiece part = piece(index);
  const auto& original = *reinterpret_cast<const Ipv4Header*>(ip_);
  if (index == 0) {
    std::memcpy(out, ip_, header_length_);
  } else {
    std::memcpy(out, ip_, sizeof(Ipv4Header));
    CopiedOptions(ip_ + sizeof(Ipv4Header), header_length_ - uint32_t{sizeof(Ipv4Header)},
                  out + sizeof(Ipv4Header));
  }
  if (count_ == 1) return;
  auto* header = reinterpret_cast<Ipv4Header*>(out);
  const uint32_t field = original.flags_fragment.host();
  const uint32_t units = (field & kIpv4OffsetMask) + part.payload_begin / kUnitBytes;
  const uint32_t more = index + 1 == count_ ? field & kIpv4MoreFragments : kIpv4MoreFragments;
  const uint32_t reserved = field & 0x8000U;
  header->version_ihl = static_cast<uint8_t>(0x40 | part.header_length / 4);
  header->total_length =
      Be16::FromHost(static_cast<uint16_t>(part.header_length + part.payload_length));
  header->flags_fragment = Be16::FromHost(static_cast<uint16_t>(reserved | more | units));
  header->checksum = Be16{};
  const uint16_t checksum = ChecksumLike(ip_, header_length_, out, part.header_length);
  std::memcpy(header->checksum.bytes, &checksum, sizeof(checksum));
}

}  // namespace fairlead
