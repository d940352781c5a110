// fairlead-wiregen: sends load to a device that forwards packets between two memif ports, and
// checks what comes back. bench/suite/wire.py uses it. By hand:
//
//   fairlead-wiregen image --mode dsr --backends 100 --egress right -o image
//   fairlead-wiregen run --mode dsr --backends 100 --send left.sock --receive right.sock
//       --flows 1000000 --phase max:2 --phase 50%:2
//   fairlead-dataplane --port left=memif:left.sock --port right=memif:right.sock
//       --mac left=02:...:01 --snapshot image --no-link -- --no-huge
//
// `run` prints "listening" when the ports may connect, "forwarding" when a packet has come back,
// then one JSON object for each phase. It polls, so it uses one CPU completely. Status 1: an
// argument is wrong, or no port connects.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "bench/wire/memif.h"
#include "bench/wire/phase.h"
#include "bench/wire/traffic.h"
#include "lib/mode/mode.h"

namespace fairlead::bench {
namespace {

struct Options {
  std::string mode = "dsr";
  std::string tracking = "adaptive";
  std::string egress;
  std::string output;
  std::string send;
  std::string receive;
  std::vector<std::string> phases = {"max:1"};
  int timeout_ms = 20'000;
  bool any_backend = false;
  uint64_t in_flight = UINT64_MAX;
  bool skip_gaps = false;
  bool stay = false;
  TrafficSetting traffic;
};

void Resolve(Options* options) {
  ImageSetting& image = options->traffic.image;
  image.mode = static_cast<ForwardingMode>(
      std::ranges::find(Modes(), options->mode, &ModeDescriptor::name) - Modes().begin());
  image.tracking = options->tracking == "none"  ? Tracking::kNone
                   : options->tracking == "all" ? Tracking::kAll
                                                : Tracking::kAdaptive;
  options->traffic.expect_backend = !options->any_backend;
}

Status WriteImage(const Options& options) {
  ASSIGN_OR_RETURN(const SnapshotImage image, MakeWireImage(options.traffic.image, options.egress));
  std::ofstream file(options.output, std::ios::binary);
  file.write(reinterpret_cast<const char*>(image.bytes().data()),
             static_cast<std::streamsize>(image.bytes().size()));
  return file.flush() ? Status() : NotFound("-o: cannot write " + options.output);
}

Status Run(const Options& options) {
  ASSIGN_OR_RETURN(const SnapshotImage image, MakeWireImage(options.traffic.image, options.egress));
  ASSIGN_OR_RETURN(Traffic traffic, Traffic::Make(options.traffic, image));
  ASSIGN_OR_RETURN(const std::unique_ptr<Memif> out, Memif::Listen(options.send));
  std::unique_ptr<Memif> other;
  if (options.receive != options.send) {
    ASSIGN_OR_RETURN(other, Memif::Listen(options.receive));
  }
  std::puts("listening");
  std::fflush(stdout);
  RETURN_IF_ERROR(out->Accept(options.timeout_ms));
  if (other != nullptr) RETURN_IF_ERROR(other->Accept(options.timeout_ms));
  Memif* const in = other == nullptr ? out.get() : other.get();
  RETURN_IF_ERROR(AwaitForwarding(out.get(), in, &traffic, options.timeout_ms));
  std::puts("forwarding");
  std::fflush(stdout);
  double fastest_pps = 0;
  for (const std::string& text : options.phases) {
    ASSIGN_OR_RETURN(PhaseSetting setting, ParsePhase(text, fastest_pps));
    setting.in_flight = options.in_flight;
    setting.skip_gaps = options.skip_gaps;
    const PhaseResult result = RunPhase(setting, out.get(), in, &traffic);
    if (setting.packets_per_second == 0 && fastest_pps == 0) fastest_pps = result.receive_pps;
    std::puts(result.Json(setting).c_str());
    std::fflush(stdout);
  }
  if (options.stay) {
    std::puts("done");
    std::fflush(stdout);
    pause();
  }
  return {};
}

void DeclareImage(CLI::App* app, Options* options) {
  std::vector<std::string> modes;
  for (const ModeDescriptor* mode : Modes()) modes.emplace_back(mode->name);
  app->add_option("--mode", options->mode, "forwarding: " + ModeNames())
      ->check(CLI::IsMember(modes));
  app->add_option("--tracking", options->tracking)
      ->check(CLI::IsMember({"adaptive", "all", "none"}));
  app->add_option("--services", options->traffic.image.services)->check(CLI::Range(1, 65'536));
  app->add_option("--backends", options->traffic.image.backends, "of each service")
      ->check(CLI::Range(1, 30'000));
  app->add_option("--egress", options->egress,
                  "port of the dataplane that leads to the backends (default: the ingress port)");
}

}  // namespace
}  // namespace fairlead::bench

int main(int argc, char** argv) {
  using namespace fairlead::bench;
  Options options;
  CLI::App app("Sends load to a forwarder between memif ports, and checks what comes back.",
               "fairlead-wiregen");
  app.require_subcommand(1);
  CLI::App* const image =
      app.add_subcommand("image", "writes the snapshot for the device under test");
  DeclareImage(image, &options);
  image->add_option("-o,--output", options.output)->required();
  CLI::App* const run = app.add_subcommand("run", "sends, receives and checks packets");
  DeclareImage(run, &options);
  run->add_option("--send", options.send, "memif socket to make and send on")->required();
  run->add_option("--receive", options.receive, "memif socket to receive on; may be the same")
      ->required();
  run->add_option("--flows", options.traffic.flows);
  run->add_option("--frame", options.traffic.frame_bytes, "bytes on the wire, FCS included");
  run->add_option("--check-every", options.traffic.check_every,
                  "verify the checksums of one packet in this many")
      ->check(CLI::Range(1U, 1U << 30));
  run->add_flag("--any-backend", options.any_backend,
                "do not check backends: the device under test is not a balancer");
  run->add_option("--phase", options.phases, "max:SECONDS, PPS:SECONDS or PERCENT%:SECONDS")
      ->allow_extra_args(false);
  run->add_option("--in-flight", options.in_flight, "the most packets in flight")
      ->check(CLI::Range(uint64_t{64}, UINT64_MAX));
  run->add_flag(
      "--stay", options.stay,
      "when done, keep the ports until a signal: DPDK 22.11's memif driver may crash when its "
      "peer leaves");
  run->add_flag(
      "--skip-gaps", options.skip_gaps,
      "exclude the time that this process did not run from latencies and from requested rates");
  run->add_option("--timeout-ms", options.timeout_ms, "how long to wait for the ports to connect");
  CLI11_PARSE(app, argc, argv);
  Resolve(&options);
  const fairlead::Status status = image->parsed() ? WriteImage(options) : Run(options);
  if (status.ok()) return 0;
  std::fprintf(stderr, "fairlead-wiregen: %s\n", status.message().c_str());
  return 1;
}
