// Seed corpus of json_fuzzer.
#include <string_view>

#include "tests/fuzz/seed_file.h"

int main(int argc, char** argv) {
  using namespace fairlead::testing;
  const std::string folder = SeedFolder(argc, argv);
  const auto write = [&](const char* name, std::string_view text) {
    WriteSeed(folder, name, std::as_bytes(std::span(text)));
  };
  write("small.json", R"({"hash_seed": 7, "services": [{"name": "web",
    "frontends": ["203.0.113.10:80/tcp"], "backends": ["10.0.0.1", "10.0.0.2:80"]}]})");
  write("full.json", R"({"services": [{"name": "web",
    "frontends": ["203.0.113.10:80/tcp", "[2001:db8::10]:443/udp"], "forwarding": "dsr",
    "hash": "source-ip", "tracking": "none", "idle_timeout": "10s", "drain_timeout": "5m",
    "on_deadline": "keep", "on_unhealthy": "keep", "keep_unhealthy": "30s", "fail_open": false, "min_healthy": "30%", "slow_start": "60s", "health_check": {"type": "tcp", "interval": "3s", "timeout": "500ms",
    "rise": 4, "fall": 5, "port": 8081}, "backends": [{"address": "10.0.0.12", "weight": 0,
    "mac": "02:00:00:00:00:0C", "vlan": 4094}]}]})");
  write("service.json", R"({"name": "dns", "frontends": ["203.0.113.53:53/udp"]})");
  write("backend.json", R"({"address": "2001:db8::1", "port": 80, "weight": 1000})");
  write("services.yaml", R"(hash_seed: 0x2a
services:
  - name: web
    frontends: [203.0.113.10:80/tcp, '[2001:db8::10]:80/tcp']
    tracking: adaptive
    health_check: {type: none}
    backends:
      - 10.0.0.11
      - {address: 10.0.0.12, weight: 2, mac: 02:00:00:00:00:0c}
)");
  return 0;
}
