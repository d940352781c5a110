// Seed corpus of grpc_check_fuzzer: what a server sends in whole exchanges.
#include <string>

#include "controlplane/observe/health/grpc_dialogue.h"
#include "tests/fuzz/seed_file.h"
#include "tests/unit/controlplane/grpc_server.h"

int main(int argc, char** argv) {
  using namespace fairlead;
  const std::string folder = testing::SeedFolder(argc, argv);
  const auto write = [&](const char* name, const std::string& bytes) {
    const std::string input = '\xff' + bytes;
    testing::WriteSeed(folder, name, std::as_bytes(std::span(input)));
  };
  const std::string serving = std::string("\0\0\0\0\2", 5) + "\x08\x01";
  const std::pair<const char*, GrpcScript> exchanges[] = {
      {"serving", {.message = serving}},
      {"unimplemented", {.status = "12"}},
      {"page",
       {.http_status = "404", .content_type = "text/html", .message = "<h1>", .status = ""}},
      {"reset", {.resets = true}},
      {"goaway", {.goes_away = true}}};
  for (const auto& [name, script] : exchanges) {
    GrpcServer server(script);
    GrpcDialogue dialogue(ReadGrpcSettings(DefaultCheckSettings(kGrpcCheck), IpAddress(), 50051),
                          std::chrono::milliseconds(1000));
    std::string sent;
    for (int round = 0; round < 10 && !dialogue.answer(); ++round) {
      server.Receive(dialogue.TakeOutput());
      const std::string bytes = server.TakeOutput();
      sent += bytes;
      dialogue.Receive(bytes);
    }
    write(name, sent);
  }
  write("message", serving + "\x10\x05\x1a\x02hi\x21XXXXXXXX\x2dXXXX");
  write("http1", "HTTP/1.1 400 Bad Request\r\n\r\n");
  return 0;
}
