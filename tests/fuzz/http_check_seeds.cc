// Seed corpus of http_check_fuzzer.
#include <string>

#include "tests/fuzz/seed_file.h"

int main(int argc, char** argv) {
  using namespace fairlead;
  const std::string folder = testing::SeedFolder(argc, argv);
  const auto write = [&](const char* name, char settings, const std::string& answer) {
    const std::string input = settings + answer;
    testing::WriteSeed(folder, name, std::as_bytes(std::span(input)));
  };
  write("length", 2, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nServer: x\r\n\r\nok");
  write("head", 1, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
  write("until_end", 2, "HTTP/1.0 200 OK\r\n\r\nall ok");
  write("chunked", 2,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;a=\"b\"\r\no\r\n1\r\nk\r\n0\r\n"
        "X: y\r\n\r\n");
  write("empty_chunked", 2, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
  write("interim", 0,
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n"
        "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
  write("redirect", 0, "HTTP/1.1 301 Moved\r\nLocation: /\r\nContent-Length: 0\r\n\r\n");
  write("folded", 0, "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nUpgrade: h2c\r\n\r\n");
  write("garbage", 12, "SSH-2.0-OpenSSH_9.2\r\n");
  return 0;
}
