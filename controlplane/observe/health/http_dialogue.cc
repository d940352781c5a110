#include "controlplane/observe/health/http_dialogue.h"

#include <algorithm>
#include <utility>

#include <boost/none.hpp>
#include <fmt/format.h>

namespace fairlead {
namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;

namespace {

constexpr uint32_t kMaxHeaderBytes = 16 * 1024;
constexpr size_t kMaxBodyBytes = 64 * 1024;
// The parser limits neither chunk extensions nor the number of interim answers.
constexpr size_t kMaxUnparsedBytes = 2 * kMaxHeaderBytes;
constexpr size_t kMaxReceivedBytes = 1024 * 1024;
// The last chunk of a body, "0\r\n\r\n". The parser must not see less of it a second time: that is
// an assertion of Boost 1.74.
constexpr size_t kLastChunkBytes = 5;

// The parser waits for a whole header before it judges the first line.
bool MayBeHttp(std::string_view start) {
  constexpr std::string_view kVersion = "HTTP/1.";
  return start.substr(0, kVersion.size()) == kVersion.substr(0, start.size());
}

// Whether the bytes are the start of a last chunk, not the whole of it.
bool MayBeLastChunk(std::string_view bytes) {
  return bytes.size() < kLastChunkBytes && bytes.front() == '0';
}

bool IsInterim(uint32_t status) { return status >= 100 && status <= 199 && status != 101; }

}  // namespace

HttpDialogue::HttpDialogue(HttpSettings settings)
    : settings_(std::move(settings)),
      request_(fmt::format("{} {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: fairlead\r\nAccept: */*\r\n"
                           "Connection: close\r\n\r\n",
                           settings_.is_head ? "HEAD" : "GET", settings_.path, settings_.host)) {
  Restart();
}

void HttpDialogue::Restart() {
  parser_.emplace();
  parser_->header_limit(kMaxHeaderBytes);
  parser_->body_limit(boost::none);
  parser_->eager(true);
  parser_->skip(settings_.is_head);
  header_judged_ = false;
  header_bytes_ = 0;
}

std::string HttpDialogue::TakeOutput() { return std::exchange(request_, {}); }

void HttpDialogue::Receive(std::string_view bytes) {
  received_bytes_ += bytes.size();
  unparsed_.append(bytes);
  while (!answer() && !unparsed_.empty()) {
    if (received_bytes_ > kMaxReceivedBytes) return Fail(CheckFailure::kTooLong);
    if (header_bytes_ == 0 && !MayBeHttp(unparsed_)) return Fail(CheckFailure::kNotHttp);
    if (header_judged_ && parser_->chunked() && MayBeLastChunk(unparsed_)) return;
    error_code error;
    const size_t used = parser_->put(asio::buffer(unparsed_), error);
    unparsed_.erase(0, used);
    if (!header_judged_) {
      header_bytes_ += used;
      // The parser's own limit is that of a field.
      const size_t rest = parser_->is_header_done() ? 0 : unparsed_.size();
      if (error == http::error::header_limit || header_bytes_ + rest > kMaxHeaderBytes) {
        return Fail(CheckFailure::kHeaderTooLong);
      }
      if (parser_->is_header_done()) {
        JudgeHeader();
        continue;
      }
    }
    if (error == http::error::need_buffer || (!error && parser_->is_done())) return JudgeBody();
    if (error && error != http::error::need_more) return Fail(CheckFailure::kNotHttp);
    if (unparsed_.size() > kMaxUnparsedBytes) return Fail(CheckFailure::kTooLong);
    if (error == http::error::need_more || used == 0) return;
  }
}

void HttpDialogue::ReceiveEnd() {
  if (!parser_->got_some()) return Fail(CheckFailure::kClosedEarly);
  error_code error;
  parser_->put_eof(error);
  if (error || !header_judged_) return Fail(CheckFailure::kClosedEarly);
  JudgeBody();
}

void HttpDialogue::JudgeHeader() {
  const uint32_t status = parser_->get().result_int();
  if (IsInterim(status)) return Restart();
  header_judged_ = true;
  if (!HasStatus(settings_.codes, status)) return Fail(CheckFailure::kHttpStatus, status);
  if (parser_->is_done()) return JudgeBody();
  body_.resize(kMaxBodyBytes);
  parser_->get().body().data = body_.data();
  parser_->get().body().size = body_.size();
}

void HttpDialogue::JudgeBody() {
  const size_t length = body_.empty() ? 0 : body_.size() - parser_->get().body().size;
  const std::string_view body(body_.data(), length);
  if (body.find(settings_.match) == std::string_view::npos) return Fail(CheckFailure::kNoMatch);
  Pass();
}

}  // namespace fairlead
