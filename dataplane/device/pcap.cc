// Reads one file to its end, writes another.
#include "dataplane/device/device.h"
#include "dataplane/device/split_at_commas.h"

namespace fairlead {
namespace {

Status Parse(std::string_view rest, DeviceSpec* spec) {
  const std::vector<std::string> parts = SplitAtCommas(rest);
  if (parts.size() != 2 || (parts[0].empty() && parts[1].empty())) {
    return InvalidArgument("device '" + spec->text +
                           "': write pcap:IN,OUT; one of the two files may be empty");
  }
  spec->target = parts[0];
  spec->output = parts[1];
  return {};
}

std::string Claim(const DeviceSpec& spec) {
  return "pcap " + (spec.output.empty() ? "reads " + spec.target : "writes " + spec.output);
}

std::string Arguments(const DeviceSpec& spec, const DeviceUse&) {
  return std::string(spec.target.empty() ? "" : "rx_pcap=" + spec.target) +
         (spec.target.empty() || spec.output.empty() ? "" : ",") +
         (spec.output.empty() ? "" : "tx_pcap=" + spec.output);
}

}  // namespace

constinit const DeviceKind kPcapDevice = {.syntax = "pcap:IN,OUT",
                                          .name = "pcap",
                                          .parse = Parse,
                                          .claim = Claim,
                                          .vdev_prefix = "net_pcap_fl",
                                          .vdev_arguments = Arguments};

}  // namespace fairlead
