// The exchange of the check type `grpc`: one call of grpc.health.v1.Health/Check over HTTP/2.
#pragma once

#include <array>
#include <memory>
#include <nghttp2/nghttp2.h>
#include <optional>
#include <string>

#include "controlplane/observe/health/dialogue.h"
#include "lib/intent/checks/grpc_settings.h"

namespace fairlead {

// The request and the response as gRPC sends them: a prefix of five bytes, then a protocol buffer.
std::string EncodeHealthRequest(std::string_view service);
// The state in a HealthCheckResponse, 1 = SERVING; nullopt: it is not such a message.
std::optional<uint32_t> DecodeHealthResponse(std::string_view message);

class GrpcDialogue : public Dialogue {
 public:
  GrpcDialogue(const GrpcSettings& settings, std::chrono::milliseconds timeout);
  GrpcDialogue(const GrpcDialogue&) = delete;
  GrpcDialogue& operator=(const GrpcDialogue&) = delete;

  std::string TakeOutput() override;
  void Receive(std::string_view bytes) override;
  void ReceiveEnd() override;

 private:
  struct FreeSession {
    void operator()(nghttp2_session* session) const { nghttp2_session_del(session); }
  };
  static constexpr size_t kMaxMessageBytes = 4096;

  // Callbacks of nghttp2, which is C: they throw nothing and allocate nothing. `self`: the
  // dialogue.
  static int OnHeader(nghttp2_session* session, const nghttp2_frame* frame, const uint8_t* name,
                      size_t name_length, const uint8_t* value, size_t value_length, uint8_t flags,
                      void* self);
  static int OnData(nghttp2_session* session, uint8_t flags, int32_t stream, const uint8_t* data,
                    size_t length, void* self);
  static int OnFrame(nghttp2_session* session, const nghttp2_frame* frame, void* self);
  static int OnStreamClose(nghttp2_session* session, int32_t stream, uint32_t error, void* self);
  static ssize_t ReadRequest(nghttp2_session* session, int32_t stream, uint8_t* buffer,
                             size_t length, uint32_t* flags, nghttp2_data_source* source,
                             void* self);

  void SubmitCall(const GrpcSettings& settings, std::chrono::milliseconds timeout);
  void UseHeader(std::string_view name, std::string_view value);
  void Judge(uint32_t error);

  std::string request_;  // not yet sent
  std::unique_ptr<nghttp2_session, FreeSession> session_;
  int32_t stream_ = 0;
  uint32_t http_status_ = 0;
  bool is_grpc_ = false;  // by its content type
  std::optional<uint32_t> grpc_status_;
  uint32_t goaway_error_ = 0;
  std::array<char, kMaxMessageBytes> message_;
  size_t message_bytes_ = 0;
  size_t received_bytes_ = 0;
};

}  // namespace fairlead
