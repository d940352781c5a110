// A gRPC health server without sockets, for tests: takes the bytes of one HTTP/2 connection, and
// answers each call as its script says.
#pragma once

#include <map>
#include <memory>
#include <nghttp2/nghttp2.h>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/check.h"

namespace fairlead {

struct GrpcScript {
  std::string http_status = "200";
  std::string content_type = "application/grpc";
  std::string message = {};  // the body
  std::string status = "0";  // grpc-status; empty: none
  bool resets = false;       // RST_STREAM instead of an answer
  bool goes_away = false;    // GOAWAY as soon as it is connected
};

class GrpcServer {
 public:
  explicit GrpcServer(GrpcScript script) : script_(std::move(script)) {
    nghttp2_session_callbacks* callbacks = nullptr;
    CHECK(nghttp2_session_callbacks_new(&callbacks) == 0);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, OnHeader);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, OnData);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, OnFrame);
    nghttp2_session* session = nullptr;
    CHECK(nghttp2_session_server_new(&session, callbacks, this) == 0);
    nghttp2_session_callbacks_del(callbacks);
    session_ = {session, nghttp2_session_del};
    nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, nullptr, 0);
    if (script_.goes_away) nghttp2_session_terminate_session2(session, 0, NGHTTP2_NO_ERROR);
  }

  std::string TakeOutput() {
    std::string output;
    for (;;) {
      const uint8_t* bytes = nullptr;
      const ssize_t length = nghttp2_session_mem_send(session_.get(), &bytes);
      if (length <= 0) return output;
      output.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(length));
    }
  }
  void Receive(std::string_view bytes) {
    nghttp2_session_mem_recv(session_.get(), reinterpret_cast<const uint8_t*>(bytes.data()),
                             bytes.size());
  }
  const std::map<std::string, std::string>& request() const { return request_; }
  const std::string& body() const { return body_; }

 private:
  static nghttp2_nv Field(const std::string& name, const std::string& value) {
    const auto bytes = [](const std::string& text) {
      return reinterpret_cast<uint8_t*>(const_cast<char*>(text.data()));
    };
    return {bytes(name), bytes(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};
  }
  static int OnHeader(nghttp2_session*, const nghttp2_frame*, const uint8_t* name,
                      size_t name_length, const uint8_t* value, size_t value_length, uint8_t,
                      void* self) {
    const auto text = [](const uint8_t* bytes, size_t length) {
      return std::string(reinterpret_cast<const char*>(bytes), length);
    };
    static_cast<GrpcServer*>(self)->request_[text(name, name_length)] = text(value, value_length);
    return 0;
  }
  static int OnData(nghttp2_session*, uint8_t, int32_t, const uint8_t* data, size_t length,
                    void* self) {
    static_cast<GrpcServer*>(self)->body_.append(reinterpret_cast<const char*>(data), length);
    return 0;
  }
  static int OnFrame(nghttp2_session*, const nghttp2_frame* frame, void* self) {
    if (frame->hd.stream_id != 0 && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
      static_cast<GrpcServer*>(self)->Answer(frame->hd.stream_id);
    }
    return 0;
  }
  // The body, then the trailers.
  static ssize_t ReadMessage(nghttp2_session* session, int32_t stream, uint8_t* buffer,
                             size_t length, uint32_t* flags, nghttp2_data_source*, void* self) {
    auto* server = static_cast<GrpcServer*>(self);
    const std::string part = server->script_.message.substr(server->sent_, length);
    std::copy(part.begin(), part.end(), buffer);
    server->sent_ += part.size();
    if (server->sent_ < server->script_.message.size()) return static_cast<ssize_t>(part.size());
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (!server->script_.status.empty()) {
      *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
      const std::string name = "grpc-status";
      const nghttp2_nv trailer = Field(name, server->script_.status);
      nghttp2_submit_trailer(session, stream, &trailer, 1);
    }
    return static_cast<ssize_t>(part.size());
  }
  void Answer(int32_t stream) {
    if (script_.resets) {
      nghttp2_submit_rst_stream(session_.get(), NGHTTP2_FLAG_NONE, stream,
                                NGHTTP2_ENHANCE_YOUR_CALM);
      return;
    }
    const std::string names[] = {":status", "content-type"};
    const nghttp2_nv headers[] = {Field(names[0], script_.http_status),
                                  Field(names[1], script_.content_type)};
    const nghttp2_data_provider body = {.source = {.ptr = nullptr}, .read_callback = ReadMessage};
    nghttp2_submit_response(session_.get(), stream, headers, std::size(headers), &body);
  }

  GrpcScript script_;
  std::unique_ptr<nghttp2_session, void (*)(nghttp2_session*)> session_{nullptr, nullptr};
  std::map<std::string, std::string> request_;
  std::string body_;
  size_t sent_ = 0;
};

}  // namespace fairlead
