// fairlead-agent: the command line. Exit status: 0 done, 1 refused or failed, 2 wrong usage.
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "tools/agent/agent.h"
#include "tools/agent/hook.h"
#include "tools/agent/installed.h"
#include "tools/agent/report.h"

namespace fairlead::agent {
namespace {

enum ExitCode : int { kExitOk = 0, kExitFailed = 1, kExitUsage = 2 };

struct AgentArguments {
  std::string pins = kDefaultBpfPins;
  std::vector<std::string> interfaces;
  std::vector<std::string> balancers;
  std::vector<std::string> peers;
  std::string hook = "xdp";
  uint16_t gue_port = kDefaultGuePort;
  uint16_t clamp_mss = 0;
  bool strict = false;
  bool json = false;
};

void Say(const std::string& text) { std::fputs(text.c_str(), stdout); }

int Fail(const Status& status) {
  std::fprintf(stderr, "fairlead-agent: %s\n", status.message().c_str());
  return kExitFailed;
}

Result<std::vector<SourcePrefix>> ParsePrefixes(const std::vector<std::string>& texts) {
  std::vector<SourcePrefix> prefixes;
  for (const std::string& text : texts) {
    ASSIGN_OR_RETURN(const SourcePrefix prefix, SourcePrefix::Parse(text));
    prefixes.push_back(prefix);
  }
  return prefixes;
}

// The interfaces named, or all that the agent is attached to.
std::vector<std::string> Chosen(const AgentArguments& arguments, const BpfPins& pins) {
  return arguments.interfaces.empty() ? pins.Interfaces() : arguments.interfaces;
}

int RunAttach(const AgentArguments& arguments, const BpfPins& pins) {
  AttachOptions options;
  Result<std::vector<SourcePrefix>> prefixes = ParsePrefixes(arguments.balancers);
  if (!prefixes.ok()) return Fail(prefixes.status());
  options.balancers = std::move(prefixes).value();
  Result<std::vector<SourcePrefix>> peers = ParsePrefixes(arguments.peers);
  if (!peers.ok()) return Fail(peers.status());
  options.peers = std::move(peers).value();
  options.hook = arguments.hook == "tc" ? AGENT_HOOK_TC : AGENT_HOOK_XDP;
  options.gue_port = arguments.gue_port;
  options.clamp_mss = arguments.clamp_mss;
  options.strict = arguments.strict;
  for (const std::string& interface : arguments.interfaces) {
    const Result<AttachOutcome> outcome = Attach(pins, interface, options);
    if (!outcome.ok()) return Fail(outcome.status());
    Say(interface + ": " + (outcome->replaced ? "replaced" : "attached") + " at " + arguments.hook +
        (options.hook == AGENT_HOOK_XDP ? " (" + outcome->mode + ")" : "") + "\n");
    for (const std::string& note : outcome->notes)
      std::fprintf(stderr, "fairlead-agent: note: %s\n", note.c_str());
  }
  return kExitOk;
}

int RunDetach(const AgentArguments& arguments, const BpfPins& pins) {
  for (const std::string& interface : arguments.interfaces) {
    const Result<bool> found = Detach(pins, interface);
    if (!found.ok()) return Fail(found.status());
    Say(interface + (*found ? ": detached\n" : ": was not attached\n"));
  }
  return kExitOk;
}

int RunStatus(const AgentArguments& arguments, const BpfPins& pins) {
  std::vector<InterfaceStatus> all;
  for (const std::string& interface : Chosen(arguments, pins)) {
    all.push_back(StatusOf(pins, interface));
  }
  Say(arguments.json ? StatusJson(all) : StatusText(all));
  const bool sound = std::ranges::all_of(
      all, [](const InterfaceStatus& status) { return status.attached && status.clamped; });
  // An empty list is a failure too: the agent was not attached since the host started.
  return sound && !all.empty() ? kExitOk : kExitFailed;
}

int RunListBalancers(const AgentArguments& arguments, const BpfPins& pins) {
  for (const std::string& interface : Chosen(arguments, pins)) {
    const Result<Installed> installed = Installed::Open(pins.Folder(interface), interface);
    if (!installed.ok()) return Fail(installed.status());
    const Result<std::vector<SourcePrefix>> balancers = installed->Balancers();
    if (!balancers.ok()) return Fail(balancers.status());
    for (const SourcePrefix& prefix : *balancers) Say(interface + " " + prefix.ToString() + "\n");
  }
  return kExitOk;
}

int RunChangeBalancers(const AgentArguments& arguments, const BpfPins& pins, bool add) {
  const Result<std::vector<SourcePrefix>> prefixes = ParsePrefixes(arguments.balancers);
  if (!prefixes.ok()) return Fail(prefixes.status());
  const std::vector<std::string> interfaces = Chosen(arguments, pins);
  if (interfaces.empty())
    return Fail(FailedPrecondition("fairlead-agent is not attached to any interface"));
  for (const std::string& interface : interfaces) {
    const Result<Installed> installed = Installed::Open(pins.Folder(interface), interface);
    if (!installed.ok()) return Fail(installed.status());
    for (const SourcePrefix& prefix : *prefixes) {
      const Result<bool> changed = add ? installed->Add(prefix) : installed->Remove(prefix);
      if (!changed.ok()) return Fail(changed.status());
      const char* outcome = add ? (*changed ? "added" : "was there already")
                                : (*changed ? "removed" : "was not there");
      Say(interface + ": " + prefix.ToString() + " " + outcome + "\n");
    }
  }
  return kExitOk;
}

void DescribeAttach(CLI::App& command, AgentArguments& arguments) {
  command.add_option("interface", arguments.interfaces, "where tunnelled packets arrive")
      ->required();
  command
      .add_option("--balancer", arguments.balancers,
                  "source address or prefix of a balancer; may be repeated")
      ->required();
  command.add_option("--peer", arguments.peers,
                     "address or prefix of other backends; may be repeated. Packets that no local "
                     "socket knows are sent on to the next candidate, and packets sent on by peers "
                     "are accepted (GUE, --hook tc)");
  command.add_option("--hook", arguments.hook, "xdp (native, or generic if not possible) or tc")
      ->check(CLI::IsMember({"xdp", "tc"}))
      ->capture_default_str();
  command.add_option("--gue-port", arguments.gue_port, "UDP port of GUE; 0: no GUE")
      ->capture_default_str();
  command
      .add_option("--clamp-mss", arguments.clamp_mss,
                  "lower the MSS of frontends' SYN-ACKs to this (TC egress)")
      ->check(CLI::Range(536, 65495));
  command.add_flag("--strict", arguments.strict,
                   "drop IPIP from sources that are not balancers, too");
}

int Run(int argc, char** argv) {
  AgentArguments arguments;
  CLI::App app("Decapsulates what Fairlead's balancers send to this backend (IPIP, GUE).",
               "fairlead-agent");
  app.require_subcommand(1);
  app.add_option("--pins", arguments.pins, "folder in a BPF file system that keeps the programs")
      ->capture_default_str();
  CLI::App* attach =
      app.add_subcommand("attach", "start decapsulating; replaces an attached agent");
  DescribeAttach(*attach, arguments);
  CLI::App* detach = app.add_subcommand("detach", "stop, and remove all that attach made");
  detach->add_option("interface", arguments.interfaces)->required();
  CLI::App* status = app.add_subcommand("status", "what is attached, and its counters");
  status->add_option("interface", arguments.interfaces, "default: all");
  status->add_flag("--json", arguments.json);
  CLI::App* balancers =
      app.add_subcommand("balancers", "the sources whose packets are decapsulated");
  balancers->require_subcommand(1);
  balancers->add_option("--interface", arguments.interfaces, "default: all that are attached");
  CLI::App* list = balancers->add_subcommand("list");
  CLI::App* add = balancers->add_subcommand("add");
  CLI::App* remove = balancers->add_subcommand("remove");
  for (CLI::App* change : {add, remove})
    change->add_option("prefix", arguments.balancers)->required();
  for (CLI::App* leaf : {list, add, remove}) leaf->fallthrough();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitOk : kExitUsage;
  }

  InstallKernelMessages();
  if (Status host = CheckHost(); !host.ok()) return Fail(host);
  const BpfPins pins(arguments.pins);
  if (*attach) return RunAttach(arguments, pins);
  if (*detach) return RunDetach(arguments, pins);
  if (*status) return RunStatus(arguments, pins);
  if (*list) return RunListBalancers(arguments, pins);
  return RunChangeBalancers(arguments, pins, static_cast<bool>(*add));
}

}  // namespace
}  // namespace fairlead::agent

int main(int argc, char** argv) { return fairlead::agent::Run(argc, argv); }
