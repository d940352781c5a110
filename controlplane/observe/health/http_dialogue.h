// The exchange of the check types `http` and `https`: one request, and the answer's header and
// first 64 KiB of body. Redirects are not followed.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>

#include "controlplane/observe/health/dialogue.h"
#include "lib/intent/checks/http_settings.h"

namespace fairlead {

class HttpDialogue : public Dialogue {
 public:
  explicit HttpDialogue(HttpSettings settings);

  std::string TakeOutput() override;
  void Receive(std::string_view bytes) override;
  void ReceiveEnd() override;

 private:
  // Expects the header of an answer next.
  void Restart();
  // The header is complete.
  void JudgeHeader();
  // No more of the body is needed.
  void JudgeBody();

  HttpSettings settings_;
  std::string request_;
  std::optional<boost::beast::http::response_parser<boost::beast::http::buffer_body>> parser_;
  std::string unparsed_;
  size_t received_bytes_ = 0;
  size_t header_bytes_ = 0;  // parsed of the present header
  std::vector<char> body_;
  bool header_judged_ = false;
};

}  // namespace fairlead
