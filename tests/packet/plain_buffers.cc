#include "tests/packet/plain_buffers.h"

#include <algorithm>
#include <cstring>

#include "lib/base/check.h"

namespace fairlead {

PlainBuffers::Frame* PlainBuffers::Add() {
  auto frame = std::make_unique<Frame>();
  Frame* const handle = frame.get();
  frames_.emplace(handle, std::move(frame));
  return handle;
}

void PlainBuffers::Receive(std::span<const uint8_t> bytes, const FrameLayout& layout,
                           Burst* burst) {
  CHECK(burst->count < kMaxBurst);
  Frame* const frame = Add();
  const auto length = static_cast<uint32_t>(bytes.size());
  const uint32_t linear =
      layout.linear_length == 0 ? length : std::min(layout.linear_length, length);
  frame->memory.reset(new uint8_t[size_t{layout.headroom} + linear + layout.tailroom]);
  std::copy_n(bytes.begin(), linear, frame->memory.get() + layout.headroom);
  frame->tail.assign(bytes.begin() + linear, bytes.end());
  const uint32_t i = burst->count++;
  burst->frame[i] = frame->memory.get() + layout.headroom;
  burst->linear_length[i] = linear;
  burst->frame_length[i] = length;
  burst->headroom[i] = layout.headroom;
  burst->tailroom[i] = layout.tailroom;
  burst->ingress_port[i] = 0;
  burst->nic_bad_ip_checksum[i] = layout.nic_bad_ip_checksum;
  burst->handle[i] = frame;
}

std::vector<uint8_t> PlainBuffers::Content(const Burst& burst, uint32_t i) const {
  std::vector<uint8_t> bytes(burst.frame[i], burst.frame[i] + burst.linear_length[i]);
  if (burst.frame_length[i] > burst.linear_length[i]) {
    const uint32_t missing = burst.frame_length[i] - burst.linear_length[i];
    const std::vector<uint8_t>& tail = static_cast<const Frame*>(burst.handle[i])->tail;
    CHECK(missing <= tail.size());
    bytes.insert(bytes.end(), tail.begin(), tail.begin() + missing);
  }
  return bytes;
}

bool PlainBuffers::Allocate(uint32_t headroom, uint32_t capacity, MadeFrame* out) {
  Frame* const frame = Add();
  frame->memory.reset(new uint8_t[size_t{headroom} + capacity]);
  out->handle = frame;
  out->frame = frame->memory.get() + headroom;
  return true;
}

void PlainBuffers::Free(void* handle) { CHECK(frames_.erase(handle) == 1); }

void PlainBuffers::CopyTail(void* handle, uint32_t offset, uint32_t length, uint8_t* out) const {
  const std::vector<uint8_t>& tail = static_cast<const Frame*>(handle)->tail;
  CHECK(uint64_t{offset} + length <= tail.size());
  std::copy_n(tail.begin() + offset, length, out);
}

bool PlainBuffers::Gather(Burst* burst, uint32_t i) {
  auto* const frame = static_cast<Frame*>(burst->handle[i]);
  const std::vector<uint8_t> whole = Content(*burst, i);
  const uint16_t headroom = burst->headroom[i];
  std::unique_ptr<uint8_t[]> memory(new uint8_t[size_t{headroom} + whole.size()]);
  std::copy(whole.begin(), whole.end(), memory.get() + headroom);
  frame->memory = std::move(memory);
  frame->tail.clear();
  burst->frame[i] = frame->memory.get() + headroom;
  burst->linear_length[i] = burst->frame_length[i];
  burst->tailroom[i] = 0;
  return true;
}

uint64_t PlainBuffers::Hold(const Burst& burst, uint32_t i) {
  auto* const frame = static_cast<Frame*>(burst.handle[i]);
  frame->offset = static_cast<uint32_t>(burst.frame[i] - frame->memory.get());
  frame->linear_length = burst.linear_length[i];
  frame->frame_length = burst.frame_length[i];
  frame->headroom = burst.headroom[i];
  frame->tailroom = burst.tailroom[i];
  frame->ingress_port = burst.ingress_port[i];
  frame->nic_bad_ip_checksum = burst.nic_bad_ip_checksum[i];
  return reinterpret_cast<uintptr_t>(frame);
}

void PlainBuffers::Resume(uint64_t held, Burst* burst, uint32_t i) {
  auto* const frame = reinterpret_cast<Frame*>(held);
  CHECK(frames_.contains(frame));
  burst->frame[i] = frame->memory.get() + frame->offset;
  burst->linear_length[i] = frame->linear_length;
  burst->frame_length[i] = frame->frame_length;
  burst->headroom[i] = frame->headroom;
  burst->tailroom[i] = frame->tailroom;
  burst->ingress_port[i] = frame->ingress_port;
  burst->nic_bad_ip_checksum[i] = frame->nic_bad_ip_checksum;
  burst->handle[i] = frame;
}

}  // namespace fairlead
