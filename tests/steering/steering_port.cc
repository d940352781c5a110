// An AF_XDP port like the dataplane's, without the dataplane: EAL, net_af_xdp with Fairlead's
// steering program, FrontendSteering. Prints one line for each received frame and each answer.
// Commands:
//
//   steering-port INTERFACE [EAL arguments]
//   set WORD ...      make these the frontends (203.0.113.10) and the nat backends' sources
//                     (10.0.0.11:8080/tcp) -> "set +ADDED -REMOVED =FRONTENDS"
//   add WORD ...      add these, as before a snapshot is in force -> "set +ADDED"
//   restore WORD ...  make these the only ones, after a failed add -> "set -REMOVED =FRONTENDS"
//   host ADDRESS ...  make these the host's own addresses -> "set host"
//   counts            -> "counts DATAPLANE KERNEL NO_SOCKET"
//   attached          -> "attached yes|no"
//   quit
#include <poll.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "dataplane/steering/frontend_steering.h"

// The PMD never closes its bpf_object, nor all of its xsk_umem. Fairlead itself uses only file
// descriptors of these libraries, so its own leaks are still reported.
extern "C" const char* __lsan_default_suppressions();  // NOLINT(bugprone-reserved-identifier)
extern "C" const char* __lsan_default_suppressions() { return "leak:libbpf.so\nleak:libxdp.so\n"; }

namespace fairlead {
namespace {

constexpr uint16_t kBurst = 32;
constexpr uint16_t kDescriptors = 512;

int Fail(const std::string& what) {
  std::cerr << "steering-port: " << what << std::endl;
  return 1;
}

bool StartEal(const std::string& interface, const std::string& program, int argc, char** argv) {
  std::vector<std::string> words = {
      "steering-port", "--vdev",   "net_af_xdp0,iface=" + interface + ",xdp_prog=" + program,
      "--no-huge",     "--no-pci", "--no-telemetry",
      "--no-shconf",   "-m",       "128"};
  words.insert(words.end(), argv, argv + argc);
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  return rte_eal_init(static_cast<int>(pointers.size()), pointers.data()) >= 0;
}

bool StartPort(uint16_t port) {
  rte_mempool* pool = rte_pktmbuf_pool_create("frames", 8191, 64, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
  rte_eth_conf configuration{};
  return pool != nullptr && rte_eth_dev_configure(port, 1, 1, &configuration) == 0 &&
         rte_eth_tx_queue_setup(port, 0, kDescriptors, 0, nullptr) == 0 &&
         rte_eth_rx_queue_setup(port, 0, kDescriptors, 0, nullptr, pool) == 0 &&
         rte_eth_dev_start(port) == 0;
}

void PrintFrames(uint16_t port) {
  std::array<rte_mbuf*, kBurst> frames{};
  const uint16_t count = rte_eth_rx_burst(port, 0, frames.data(), kBurst);
  for (uint16_t i = 0; i < count; ++i) {
    const auto* bytes = rte_pktmbuf_mtod(frames[i], const unsigned char*);
    std::printf("frame ");
    for (uint16_t at = 0; at < rte_pktmbuf_data_len(frames[i]); ++at)
      std::printf("%02x", bytes[at]);
    std::printf("\n");
    rte_pktmbuf_free(frames[i]);
  }
  if (count > 0) std::fflush(stdout);
}

// Returns the answer to `command`.
std::string Steer(const std::string& command, std::istringstream& words,
                  FrontendSteering& steering) {
  SteeringSet set;
  std::string word;
  while (words >> word) {
    const Result<IpAddress> address = IpAddress::Parse(word);
    const Result<Frontend> source = Frontend::Parse(word);  // the same notation
    if (address.ok()) set.frontends.push_back(*address);
    if (source.ok()) {
      set.sources.push_back({source->address, source->protocol, source->port, source->last_port});
    }
  }
  if (command == "add") {
    const Result<uint32_t> added = steering.Add(set);
    return added.ok() ? "set +" + std::to_string(*added) : "failed " + added.status().message();
  }
  FrontendSteering::Change change;
  Status status;
  if (command == "restore") {
    const Result<uint32_t> removed = steering.Restore(set);
    status = removed.status();
    if (removed.ok()) change.removed = *removed;
  } else {
    const Result<FrontendSteering::Change> updated = steering.Update(set);
    status = updated.status();
    if (updated.ok()) change = *updated;
  }
  if (!status.ok()) return "failed " + status.message();
  return (command == "set" ? "set +" + std::to_string(change.added) + " -" : "set -") +
         std::to_string(change.removed) + " =" + std::to_string(steering.frontend_count());
}

// Returns false for `quit`.
bool RunCommand(const std::string& line, FrontendSteering& steering) {
  std::istringstream words(line);
  std::string command, word;
  words >> command;
  if (command == "quit") return false;
  if (command == "counts") {
    const Result<SteeringCounts> counts = steering.Counts();
    if (counts.ok())
      std::cout << "counts " << counts->to_dataplane << ' ' << counts->to_kernel << ' '
                << counts->no_socket << std::endl;
  } else if (command == "attached") {
    std::cout << "attached " << (steering.StillAttached() ? "yes" : "no") << std::endl;
  } else if (command == "host") {
    std::vector<IpAddress> addresses;
    while (words >> word) {
      const Result<IpAddress> address = IpAddress::Parse(word);
      if (address.ok()) addresses.push_back(*address);
    }
    const Status status = steering.SetHostAddresses(addresses);
    std::cout << (status.ok() ? "set host" : "failed " + status.message()) << std::endl;
  } else if (command == "set" || command == "add" || command == "restore") {
    std::cout << Steer(command, words, steering) << std::endl;
  }
  return true;
}

void Serve(uint16_t port, FrontendSteering& steering) {
  std::string pending;
  for (;;) {
    PrintFrames(port);
    pollfd input{STDIN_FILENO, POLLIN, 0};
    if (poll(&input, 1, 1) <= 0) continue;
    std::array<char, 65536> text{};
    const ssize_t length = read(STDIN_FILENO, text.data(), text.size());
    if (length <= 0) return;
    pending.append(text.data(), static_cast<size_t>(length));
    for (size_t end = pending.find('\n'); end != std::string::npos; end = pending.find('\n')) {
      if (!RunCommand(pending.substr(0, end), steering)) return;
      pending.erase(0, end + 1);
    }
  }
}

int Run(int argc, char** argv) {
  if (argc < 2) return Fail("usage: steering-port INTERFACE [EAL arguments]");
  const std::string interface = argv[1];
  if (Status cleared = FrontendSteering::ClearStale(interface); !cleared.ok())
    return Fail(cleared.message());
  const Result<std::string> program = SteeringProgram::Path();
  if (!program.ok()) return Fail(program.status().message());
  if (!StartEal(interface, *program, argc - 2, argv + 2))
    return Fail("cannot start the EAL; see its messages above");
  if (!StartPort(0)) return Fail("cannot start port 0; see the messages above");
  Result<FrontendSteering> steering = FrontendSteering::Open(interface);
  if (!steering.ok()) return Fail(steering.status().message());
  std::cout << "ready " << steering->program_id() << std::endl;
  Serve(0, *steering);
  rte_eth_dev_stop(0);
  rte_eth_dev_close(0);
  rte_eal_cleanup();
  return 0;
}

}  // namespace
}  // namespace fairlead

int main(int argc, char** argv) { return fairlead::Run(argc, argv); }
