#include "controlplane/observe/health/grpc_dialogue.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include <fmt/format.h>

namespace fairlead {
namespace {

constexpr uint32_t kServing = 1;       // HealthCheckResponse.ServingStatus
constexpr size_t kPrefixBytes = 5;     // compressed flag and length of a gRPC message
constexpr uint8_t kServiceTag = 0x0a;  // field 1 of HealthCheckRequest: length-delimited
constexpr uint64_t kStatusTag = 0x08;  // field 1 of HealthCheckResponse: varint
constexpr uint64_t kWireTypeMask = 7;
constexpr size_t kMaxVarintBytes = 10;
constexpr size_t kMaxGrpcBytes = 256 * 1024;
constexpr uint32_t kHttpOk = 200;

enum WireType : uint8_t { kVarint = 0, kFixed64 = 1, kLengthDelimited = 2, kFixed32 = 5 };

void AppendVarint(uint64_t value, std::string* out) {
  for (; value >= 0x80; value >>= 7) out->push_back(static_cast<char>(value | 0x80));
  out->push_back(static_cast<char>(value));
}

// Removes a varint from the start of `bytes`. False: there is none.
bool TakeVarint(std::string_view* bytes, uint64_t* value) {
  *value = 0;
  for (size_t i = 0; i < std::min(bytes->size(), kMaxVarintBytes); ++i) {
    const auto byte = static_cast<uint8_t>((*bytes)[i]);
    *value |= static_cast<uint64_t>(byte & 0x7f) << (7 * i);
    if (byte >= 0x80) continue;
    bytes->remove_prefix(i + 1);
    return true;
  }
  return false;
}

// Removes the value of a field that HealthCheckResponse does not have.
bool SkipField(uint64_t wire_type, std::string_view* bytes) {
  uint64_t length = 0;
  switch (wire_type) {
    case kVarint:
      return TakeVarint(bytes, &length);
    case kFixed64:
      length = 8;
      break;
    case kFixed32:
      length = 4;
      break;
    case kLengthDelimited:
      if (!TakeVarint(bytes, &length)) return false;
      break;
    default:
      return false;
  }
  if (length > bytes->size()) return false;
  bytes->remove_prefix(length);
  return true;
}

nghttp2_nv Header(std::string_view name, std::string_view value) {
  const auto bytes = [](std::string_view text) {
    return reinterpret_cast<uint8_t*>(const_cast<char*>(text.data()));
  };
  return {bytes(name), bytes(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};
}

std::string_view TextOfBytes(const uint8_t* bytes, size_t length) {
  return {reinterpret_cast<const char*>(bytes), length};
}

std::optional<uint32_t> ParseDecimal(std::string_view text) {
  uint32_t number = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || stop != end) return std::nullopt;
  return number;
}

}  // namespace

std::string EncodeHealthRequest(std::string_view service) {
  std::string message;
  if (!service.empty()) {
    message.push_back(static_cast<char>(kServiceTag));
    AppendVarint(service.size(), &message);
    message.append(service);
  }
  std::string prefixed(kPrefixBytes, '\0');
  prefixed[3] = static_cast<char>(message.size() >> 8);
  prefixed[4] = static_cast<char>(message.size());
  return prefixed + message;
}

std::optional<uint32_t> DecodeHealthResponse(std::string_view message) {
  if (message.size() < kPrefixBytes || message[0] != '\0') return std::nullopt;
  uint64_t length = 0;
  for (size_t i = 1; i < kPrefixBytes; ++i) length = length << 8 | static_cast<uint8_t>(message[i]);
  message.remove_prefix(kPrefixBytes);
  if (length != message.size()) return std::nullopt;
  uint64_t status = 0;  // that of a message without the field
  while (!message.empty()) {
    uint64_t tag = 0;
    if (!TakeVarint(&message, &tag)) return std::nullopt;
    const bool is_valid = tag == kStatusTag ? TakeVarint(&message, &status)
                                            : SkipField(tag & kWireTypeMask, &message);
    if (!is_valid) return std::nullopt;
  }
  return static_cast<uint32_t>(std::min<uint64_t>(status, UINT16_MAX));
}

GrpcDialogue::GrpcDialogue(const GrpcSettings& settings, std::chrono::milliseconds timeout)
    : request_(EncodeHealthRequest(settings.service)) {
  nghttp2_session_callbacks* callbacks = nullptr;
  if (nghttp2_session_callbacks_new(&callbacks) != 0) throw std::bad_alloc();
  nghttp2_session_callbacks_set_on_header_callback(callbacks, OnHeader);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, OnData);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, OnFrame);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, OnStreamClose);
  nghttp2_session* session = nullptr;
  const int created = nghttp2_session_client_new(&session, callbacks, this);
  nghttp2_session_callbacks_del(callbacks);
  if (created != 0) throw std::bad_alloc();
  session_.reset(session);
  SubmitCall(settings, timeout);
}

void GrpcDialogue::SubmitCall(const GrpcSettings& settings, std::chrono::milliseconds timeout) {
  const nghttp2_settings_entry no_push = {NGHTTP2_SETTINGS_ENABLE_PUSH, 0};
  const std::string timeout_text = fmt::format("{}m", timeout.count());
  const nghttp2_nv headers[] = {Header(":method", "POST"),
                                Header(":scheme", settings.tls ? "https" : "http"),
                                Header(":path", "/grpc.health.v1.Health/Check"),
                                Header(":authority", settings.authority),
                                Header("te", "trailers"),
                                Header("content-type", "application/grpc"),
                                Header("user-agent", "fairlead"),
                                Header("grpc-timeout", timeout_text)};
  const nghttp2_data_provider body = {.source = {.ptr = nullptr}, .read_callback = ReadRequest};
  if (nghttp2_submit_settings(session_.get(), NGHTTP2_FLAG_NONE, &no_push, 1) != 0) {
    throw std::bad_alloc();
  }
  stream_ =
      nghttp2_submit_request(session_.get(), nullptr, headers, std::size(headers), &body, nullptr);
  if (stream_ < 0) throw std::bad_alloc();
}

std::string GrpcDialogue::TakeOutput() {
  std::string output;
  for (;;) {
    const uint8_t* bytes = nullptr;
    const ssize_t length = nghttp2_session_mem_send(session_.get(), &bytes);
    if (length < 0 && !answer()) Fail(CheckFailure::kNotHttp2);
    if (length <= 0) break;
    output.append(TextOfBytes(bytes, static_cast<size_t>(length)));
  }
  // After a protocol error, nghttp2 sends GOAWAY and is done.
  const bool is_done = nghttp2_session_want_read(session_.get()) == 0 &&
                       nghttp2_session_want_write(session_.get()) == 0;
  if (is_done && output.empty() && !answer()) Fail(CheckFailure::kNotHttp2);
  return output;
}

void GrpcDialogue::Receive(std::string_view bytes) {
  received_bytes_ += bytes.size();
  const ssize_t used = nghttp2_session_mem_recv(
      session_.get(), reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  if (answer()) return;
  if (used < 0) return Fail(CheckFailure::kNotHttp2);
  if (received_bytes_ > kMaxGrpcBytes) Fail(CheckFailure::kTooLong);
}

void GrpcDialogue::ReceiveEnd() { Fail(CheckFailure::kClosedEarly); }

int GrpcDialogue::OnHeader(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name,
                           size_t name_length, const uint8_t* value, size_t value_length, uint8_t,
                           void* self) {
  auto* dialogue = static_cast<GrpcDialogue*>(self);
  if (frame->hd.stream_id == dialogue->stream_) {
    dialogue->UseHeader(TextOfBytes(name, name_length), TextOfBytes(value, value_length));
  }
  return 0;
}

void GrpcDialogue::UseHeader(std::string_view name, std::string_view value) {
  if (name == ":status") http_status_ = ParseDecimal(value).value_or(0);
  if (name == "content-type") is_grpc_ = value.starts_with("application/grpc");
  if (name == "grpc-status") grpc_status_ = ParseDecimal(value);
}

int GrpcDialogue::OnData(nghttp2_session*, uint8_t, int32_t stream, const uint8_t* data,
                         size_t length, void* self) {
  auto* dialogue = static_cast<GrpcDialogue*>(self);
  if (stream != dialogue->stream_ || dialogue->answer()) return 0;
  if (length > kMaxMessageBytes - dialogue->message_bytes_) {
    // An HTTP server's page is no gRPC answer, however long.
    dialogue->Fail(dialogue->is_grpc_ ? CheckFailure::kTooLong : CheckFailure::kNotGrpc);
    return 0;
  }
  std::memcpy(dialogue->message_.data() + dialogue->message_bytes_, data, length);
  dialogue->message_bytes_ += length;
  return 0;
}

int GrpcDialogue::OnFrame(nghttp2_session*, const nghttp2_frame* frame, void* self) {
  if (frame->hd.type == NGHTTP2_GOAWAY) {
    static_cast<GrpcDialogue*>(self)->goaway_error_ = frame->goaway.error_code;
  }
  return 0;
}

int GrpcDialogue::OnStreamClose(nghttp2_session*, int32_t stream, uint32_t error, void* self) {
  auto* dialogue = static_cast<GrpcDialogue*>(self);
  if (stream == dialogue->stream_ && !dialogue->answer()) dialogue->Judge(error);
  return 0;
}

ssize_t GrpcDialogue::ReadRequest(nghttp2_session*, int32_t, uint8_t* buffer, size_t length,
                                  uint32_t* flags, nghttp2_data_source*, void* self) {
  auto* dialogue = static_cast<GrpcDialogue*>(self);
  const size_t count = std::min(length, dialogue->request_.size());
  std::memcpy(buffer, dialogue->request_.data(), count);
  dialogue->request_.erase(0, count);
  if (dialogue->request_.empty()) *flags |= NGHTTP2_DATA_FLAG_EOF;
  return static_cast<ssize_t>(count);
}

// The stream has ended.
void GrpcDialogue::Judge(uint32_t error) {
  if (http_status_ == 0 || (error != NGHTTP2_NO_ERROR && !grpc_status_)) {
    return Fail(CheckFailure::kHttp2Error, goaway_error_ != 0 ? goaway_error_ : error);
  }
  if (http_status_ != kHttpOk) return Fail(CheckFailure::kHttpStatus, http_status_);
  if (!is_grpc_ || !grpc_status_) return Fail(CheckFailure::kNotGrpc);
  if (*grpc_status_ != 0) return Fail(CheckFailure::kGrpcStatus, *grpc_status_);
  const std::optional<uint32_t> state = DecodeHealthResponse({message_.data(), message_bytes_});
  if (!state) return Fail(CheckFailure::kNotGrpc);
  if (*state != kServing) return Fail(CheckFailure::kNotServing, *state);
  Pass();
}

}  // namespace fairlead
